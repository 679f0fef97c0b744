/* WORK steps of five bodies under gravity: scalar floating point, division, square root. */
#include <math.h>

#include "kernel.h"

struct body {
  double at[3], speed[3], mass;
};

enum { kBodies = 5 };
static struct body bodies[kBodies];

static NOINLINE void step(double dt) {
  for (int i = 0; i < kBodies; ++i) {
    for (int j = i + 1; j < kBodies; ++j) {
      double d[3], square = 0;
      for (int k = 0; k < 3; ++k) {
        d[k] = bodies[i].at[k] - bodies[j].at[k];
        square += d[k] * d[k];
      }
      const double force = dt / (square * sqrt(square));
      for (int k = 0; k < 3; ++k) {
        bodies[i].speed[k] -= d[k] * bodies[j].mass * force;
        bodies[j].speed[k] += d[k] * bodies[i].mass * force;
      }
    }
  }
  for (int i = 0; i < kBodies; ++i) {
    for (int k = 0; k < 3; ++k) bodies[i].at[k] += dt * bodies[i].speed[k];
  }
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  for (int i = 0; i < kBodies; ++i) {
    const double distance = 1 + 3 * i;
    bodies[i].mass = i == 0 ? 40 : 0.01 / i;
    bodies[i].at[0] = i == 0 ? 0 : distance;
    bodies[i].at[2] = 0.1 * i;
    bodies[i].speed[1] = i == 0 ? 0 : sqrt(40 / distance);
  }
  for (long i = 0; i < work; ++i) step(0.001);
  double energy = 0;
  for (int i = 0; i < kBodies; ++i) {
    for (int k = 0; k < 3; ++k) {
      energy += bodies[i].mass * bodies[i].speed[k] * bodies[i].speed[k] / 2;
    }
  }
  printf("%.17g\n", energy);
  return 0;
}
