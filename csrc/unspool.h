// The C interface of Unspool's native engine: recurrences over time on a CPU, in f32.
//
// Pointers are to host memory. Every function is safe to call from several threads at once, with problems of their own.
#ifndef UNSPOOL_H
#define UNSPOOL_H

#include <stdint.h>

#define UNSPOOL_MAX_STATES 4
#define UNSPOOL_MAX_SLOTS 16

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

// A cell, as the library was built with it. Slots are what the matrix products fill: a gate's whole sum or one of its halves.
// Slots [0, by_x) take a product with the input, slots [by_h, slots) one with the state that is fed back, slots [0, nested) one
// with v, which is made of the other slots and the states.
typedef struct {
  const char* name;
  int32_t states, fed_back, gates, slots, nested, by_x, by_h, biases, parameters;
} unspool_cell;

// One call of a recurrence over B sequences of T steps, D inputs, H units. The last dimension of every array is contiguous.
typedef struct {
  int32_t cell;     // its place in unspool_cells()
  int32_t threads;  // at most so many
  int32_t save;     // 1 where a backward pass follows, 2 where it computes most gates again: then `saved` holds the states, and the gates of the last steps
  int32_t reverse;  // from each sequence's last step to its first
  int32_t packed;   // whether `weights` already holds the packed weights
  int32_t bf16;     // products of numbers rounded to bf16, summed in f32. Not with save 2, nor `packed`
  int64_t B, T, D, H;
  const float* x;  // (B, T, D)
  int64_t x_batch, x_step;
  const float *W, *U, *b, *b_h, *p;         // (G, H, D) (R, H, H) (G, H) (S, H) (P, H), contiguous
  const int64_t* lengths;                   // (B) or null
  const float* state[UNSPOOL_MAX_STATES];   // (B, H) contiguous, or null for zeros
  float* y;                                 // (B, T, H) contiguous
  float* last[UNSPOOL_MAX_STATES];          // (B, H) contiguous
  float* gates[UNSPOOL_MAX_SLOTS];          // (B, T, H) contiguous each: gates before their squashing, or null
  float* states[UNSPOOL_MAX_STATES];        // (B, T, H) contiguous each, or null
  float *saved, *weights, *work;            // of the sizes that unspool_sizes gives, aligned to 64 bytes; backward takes `weights` for save 2
  // For the backward pass: gradients, in and out. Null where none is given or wanted.
  const float* dy;                          // (B, T, H)
  int64_t dy_batch, dy_step;
  const float* d_last[UNSPOOL_MAX_STATES];  // (B, H) contiguous
  float *dx;                                // (B, T, D) contiguous
  float *dW, *dU, *db, *db_h, *dp;          // like the weights; never null
  float* d_state[UNSPOOL_MAX_STATES];       // (B, H) contiguous
} unspool_problem;

typedef struct {
  int64_t saved, weights, work;  // in floats
} unspool_buffers;

// 0, or the reason why not: 1 a size below 1 or a cell that does not exist, 2 too large, 3 a length outside 0 .. T, 4 no memory,
// 5 bf16 on a processor without AVX512-BF16.
int unspool_sizes(const unspool_problem* problem, int backward, unspool_buffers* sizes);
int unspool_forward(const unspool_problem* problem);
// Overwrites `saved`; before a second backward pass of the same call, run the forward pass again.
int unspool_backward(const unspool_problem* problem);

// A stack of layers that goes one step at a time, its weights packed once and its states inside.
typedef struct unspool_stream unspool_stream;
// Of each layer it reads the cell, the threads (of the first), B, D, H and the weights. Null where a size does not fit or there is no memory.
// `bits`: 32, or weights rounded to 16 (bf16) or 8 (int8, by unit).
unspool_stream* unspool_stream_new(const unspool_problem* layers, int count, int residual, int bits);
void unspool_stream_step(unspool_stream* stream, const float* x, float* y);  // (B, D) and (B, H), contiguous
void unspool_stream_run(unspool_stream* stream, const float* x, float* y, int64_t T);  // (B, T, D) and (B, T, H), of all rows
void unspool_stream_get(const unspool_stream* stream, int layer, int state, float* to);  // (B, H) contiguous
void unspool_stream_set(unspool_stream* stream, int layer, int state, const float* from);
// Goes on with these rows, in this order; one may come several times, but there are no more than at first.
void unspool_stream_keep(unspool_stream* stream, const int64_t* rows, int64_t count);
void unspool_stream_free(unspool_stream* stream);

// An output's weights (V, E) and bias (V), packed.
typedef struct unspool_head unspool_head;
unspool_head* unspool_head_new(const float* weights, const float* bias, int64_t V, int64_t E);  // null when there is no memory
// Of each row's logits, x (rows, E) times the weights: into `whole` (rows) the logarithm of the sum of exp of all, and the `count` largest
// but for `forbidden` ones, descending, the first of equals first, into `values` and `places` (rows, count). 0, or 4 without memory.
int unspool_head_best(const unspool_head* head, const float* x, int64_t rows, const int64_t* forbidden, int64_t forbidden_count,
                      int64_t count, float* whole, float* values, int64_t* places, int threads);
void unspool_head_free(unspool_head* head);

// The summed cross entropy of logits (rows, V) and targets, a share `smoothing` of each target spread over all symbols; the logits
// become its gradient.
double unspool_cross_entropy(float* logits, const int64_t* targets, int64_t rows, int64_t V, float smoothing, int threads);

int unspool_problem_size(void);  // of the structure above, in bytes
int unspool_cells(void);                                // how many
const unspool_cell* unspool_cell_at(int place);         // null where there is none
int unspool_add_cell(const void* ops);                  // one compiled by itself (own.cpp), for good: its place, or -1 when there are too many
const char* unspool_isa(void);                  // avx512, avx2 or generic; the environment's UNSPOOL_ISA chooses a lesser one
void unspool_function(int which, const float* x, float* y, int64_t n);  // 0 exp, 1 sigmoid, 2 tanh, 3 log, for tests
double unspool_peak(int threads);               // GFLOP/s of multiply-adds that stay in registers

// Memory that is kept when given back, its pages already there; what it holds at first is left open. Null when there is none.
float* unspool_take(int64_t floats);
void unspool_give(float* memory);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
