/* Romberg integration, of functions whose integrals are known. */
#include <math.h>
#include <stdio.h>

enum { ROWS = 16 };

static double runge(double x) { return 1 / (1 + 25 * x * x); }
static double wave(double x) { return sin(x) * sin(x); }
static double cubic(double x) { return ((x - 2) * x + 3) * x - 4; }

/* The trapezoidal rule with 1, 2, 4 ... pieces, each row bettered by those before it. */
static double integrate(double (*f)(double), double from, double to, int* rows) {
  double table[ROWS][ROWS];
  double step = to - from;
  table[0][0] = step * (f(from) + f(to)) / 2;
  for (int n = 1; n < ROWS; ++n) {
    step /= 2;
    double sum = 0;
    for (int k = 1; k < 1 << n; k += 2) sum += f(from + k * step);
    table[n][0] = table[n - 1][0] / 2 + step * sum;
    double power = 1;
    for (int m = 1; m <= n; ++m) {
      power *= 4;
      table[n][m] = table[n][m - 1] + (table[n][m - 1] - table[n - 1][m - 1]) / (power - 1);
    }
    *rows = n;
    if (n > 4 && fabs(table[n][n] - table[n - 1][n - 1]) < 1e-14) return table[n][n];
  }
  return table[ROWS - 1][ROWS - 1];
}

static void show(const char* name, double (*f)(double), double from, double to, double exact) {
  int rows = 0;
  const double value = integrate(f, from, to, &rows);
  printf("%-8s %.12f %s\n", name, value, fabs(value - exact) < 1e-12 ? "right" : "wrong");
}

int main(void) {
  show("exp", exp, 0, 1, M_E - 1);
  show("log", log, 1, 2, 2 * M_LN2 - 1);
  show("sin2", wave, 0, M_PI, M_PI / 2);
  show("cubic", cubic, -1, 3, 20. - 56. / 3 + 12 - 16);
  show("runge", runge, -1, 1, 2. / 5 * atan(5));
  return 0;
}
