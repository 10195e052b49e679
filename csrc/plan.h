// How one call is laid out and divided: worked out once, by code that every processor can run, then read by the kernels.
#pragma once

#include "unspool.h"

constexpr int MAX_THREADS = 64;

// A weight gradient sums over so many rows at once, for so many neighbouring blocks; both operands stay in the first caches.
constexpr int64_t LONGEST = 128, GROUP = 32;

struct Barrier {
  int waiting = 0, round = 0;
};

struct CellOps;
struct Small;

struct Plan {
  const unspool_problem* problem;
  const CellOps* cell;
  int64_t B, T, D, H;
  int64_t Db, Hb;               // blocks of 16 inputs and units
  int64_t slots, nested, by_x, by_h;  // of the cell
  int threads;
  bool by_units;                // the units are divided among the threads, with a barrier or two at each step; else the rows
  int ranges;                   // of rows; as many as threads when rows are divided, else 1
  int64_t range[MAX_THREADS + 1];
  int64_t chunk;                // steps whose input product is taken at once
  int64_t again;                // steps that the backward pass does at once: all, or those whose gates it computes again
  int64_t kept_from;            // the step from which on gates are not computed again
  int64_t x_ring, z_ring, s_ring;  // steps that are held
  const int32_t* row_of;        // (B) the caller's row at each of our places
  const int32_t* length_of;     // (B) at our places, or null
  const int32_t* count;         // (T, ranges) rows still running, or null when all are
  // Regions of `saved`, `weights` and `work`.
  float *x, *z, *z_kept, *s[UNSPOOL_MAX_STATES];
  float *W, *U, *V, *b, *p;  // packed; V is the U of nested slots; b by slot
  float* v;                  // what they are multiplied with: of one step, backward of `again`
  int64_t v_ring;
  float* held;               // of one step, what the gradient that comes through them needs
  uint16_t *x_half, *s_half, *v_half, *dz_half;  // what products read, rounded to bf16: of all steps, of two, of one, of two or all
  int64_t dz_ring;
  float* pairs;                         // for each thread, of the rows that a weight gradient sums over
  float *Wt, *Ut, *Vt, *carry[UNSPOOL_MAX_STATES], *scratch, *dW, *dU, *dV, *db, *dp;
  int64_t *offset_x, *offset_h, *offset_dx, *offset_dh, *offset_dv;
  int64_t scratch_size;
  Barrier* barrier;
  Small* small;  // of a stream whose weights are of 16 or 8 bits; then W, U and V are not there
  void (*small_products)(const Plan& plan, float* z, int64_t u, bool within);
};

// Weights of 16 or 8 bits, by block of units and slot; see small.cpp.
struct SmallWeights {
  int64_t groups;   // of 2 or 4 inputs
  void* panels;     // (blocks, groups, slots, 16, 2 or 4)
  float* scale;     // (blocks * slots, 16)
  int32_t* offset;  // (blocks * slots, 16)
};

struct SmallRows {
  void* values;  // (B, groups * 4) bytes, or (B, groups * 2) floats
  float* scale;  // (B)
};

struct Small {
  int bits;
  SmallWeights x, h, v;
  SmallRows x_rows, h_rows, v_rows;
};

struct SmallKernels {
  void (*pack)(int bits, const float* M, int64_t K, int64_t have, int64_t groups, int64_t count, void* panel, float* scale, int32_t* offset);
  float (*convert)(int bits, const float* blocks, int64_t B, int64_t Kb, void* to);
  void (*products)(const Plan& plan, float* z, int64_t u, bool within);
};

// A cell's constants and its elementwise loops for one instruction set.
struct CellOps {
  unspool_cell cell;
  int held;
  const int *gate_of, *product_of, *bias_of;  // by slot: its place among W, U and b_h, or -1
  void (*forward)(int64_t rows, float* z, int64_t z_slot, const float* const* s, float* const* n, const float* p, int64_t p_next, bool keep);
  void (*backward)(int64_t rows, float* z, int64_t z_slot, const float* const* s, const float* const* n, const float* p, int64_t p_next,
                   const float* dy, const float* dh, float* const* carry, float* db, float* dp, int64_t dp_next, float* v, float* held,
                   int64_t held_next);
  // Of a cell with nested slots.
  void (*inner)(int64_t rows, const float* z, int64_t z_slot, const float* const* s, const float* p, int64_t p_next, float* v);
  void (*inner_backward)(int64_t rows, float* z, int64_t z_slot, const float* const* s, const float* const* n, const float* p, int64_t p_next,
                         const float* dv, float* const* carry, float* db, float* dp, int64_t dp_next, const float* held, int64_t held_next);
};

// A product with the weights of an output, x (rows, E) times (V, E), of which only the largest are wanted.
struct Head {
  int64_t E, Eb, Vb;            // sizes, in blocks of 16 with b
  float *panels, *bias;         // (Vb, Eb * 16, 16), (Vb, 16); -inf where no symbol is
  int64_t rows, count;
  const float* x;               // (Eb, rows, 16)
  const int64_t* offsets;       // (Eb)
  const int64_t* forbidden;
  int64_t forbidden_count;
};

// What one thread finds: of each row the largest by lane, the sum of exp beneath it, and the `count` largest with their places.
struct HeadWork {
  float *c, *most, *sum, *values;
  int64_t* places;
};

// What a set of kernels offers.
struct Kernels {
  const char* isa;
  const CellOps* cells;
  int cell_count;
  void (*forward)(const Plan& plan, int thread);
  void (*backward)(const Plan& plan, int thread);
  void (*pack_weights)(const Plan& plan, int thread);
  void (*stream_step)(const Plan& plan, int64_t t, int thread, int threads, bool first);
  void (*head_blocks)(const Head& head, int64_t from, int64_t to, const HeadWork& work);
  double (*cross_entropy)(float* logits, const int64_t* targets, int64_t rows, int64_t V, float smoothing);
  double (*total_of)(float top, const float* most, const float* sum);
  void (*function)(int which, const float* x, float* y, int64_t n);
  double (*spin)(int64_t rounds);  // multiply-adds in registers; gives how many operations were done
};
