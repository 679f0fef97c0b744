// Plain C++: classes with virtual functions, templates, static objects, new and delete.
#include <stdio.h>

namespace {

int alive = 0;

class Shape {
 public:
  explicit Shape(const char* name) : name_(name) { ++alive; }
  virtual ~Shape() { --alive; }
  virtual double Area() const = 0;
  const char* name() const { return name_; }

 private:
  const char* name_;
};

class Square : public Shape {
 public:
  explicit Square(double side) : Shape("square"), side_(side) {}
  double Area() const override { return side_ * side_; }

 private:
  double side_;
};

class Circle : public Shape {
 public:
  explicit Circle(double radius) : Shape("circle"), radius_(radius) {}
  double Area() const override { return 3.0 * radius_ * radius_; }

 private:
  double radius_;
};

template <typename T, unsigned kSize>
class Stack {
 public:
  void Push(T value) { items_[count_++] = value; }
  T Pop() { return items_[--count_]; }
  unsigned count() const { return count_; }

 private:
  T items_[kSize];
  unsigned count_ = 0;
};

struct Announcer {
  explicit Announcer(const char* text) : text(text) { printf("constructed %s\n", text); }
  ~Announcer() { printf("destroyed %s\n", text); }
  const char* text;
};

Announcer global("global");

Announcer& Local() {
  static Announcer local("local static");
  return local;
}

struct alignas(128) Aligned {
  char bytes[128];
};

}  // namespace

int main() {
  Stack<Shape*, 10> shapes;
  shapes.Push(new Square(2));
  shapes.Push(new Circle(1));
  while (shapes.count() > 0) {
    Shape* shape = shapes.Pop();
    printf("%s %g\n", shape->name(), shape->Area());
    delete shape;
  }
  printf("alive %d\n", alive);
  Local();
  Local();
  auto* aligned = new Aligned;
  printf("aligned %d\n", static_cast<int>(reinterpret_cast<unsigned long>(aligned) % 128));
  delete aligned;
  auto twice = [](int x) { return 2 * x; };
  int (*function)(int) = twice;
  printf("lambda %d\n", function(21));
  return 0;
}
