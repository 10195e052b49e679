// Everything that depends on the processor. Compiled once for each instruction set, UNSPOOL_ISA naming it.

#include <sched.h>
#include <stdint.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "plan.h"

namespace UNSPOOL_ISA {

#include "vector.h"
#include "product.h"
#include "recurrence.h"
#include "cell.h"

#include "cells.inc"  // generated: a struct for each cell, see unspool.equations.emit_cpp

static void function(int which, const float* x, float* y, int64_t n) {
  alignas(64) float in[W], out[W];
  for (int64_t i = 0; i < n; i += W) {
    copy_in(in, x + i, n - i);
    for (int v = 0; v < W; v += LANES) {
      const V a = load(in + v);
      store(out + v, which == 0 ? exp_(a) : which == 1 ? sigmoid_(a) : which == 2 ? tanh_(a) : log_(a));
    }
    copy_out(y + i, out, n - i);
  }
}

static inline bool any_above(V x, V than) {
#if LANES == 16
  return _mm512_cmp_ps_mask(x, than, _CMP_GT_OQ) != 0;
#else
  const VI above = x > than;
  int32_t any = 0;
  for (int i = 0; i < LANES; i++) any |= above[i];
  return any != 0;
#endif
}

// Puts x[i] at its place among the `count` largest so far.
static inline void insert(float x, int64_t place, int64_t count, float* best, int64_t* at) {
  int64_t k = count - 1;
  for (; k > 0 && x > best[k - 1]; k--) best[k] = best[k - 1], at[k] = at[k - 1];
  best[k] = x, at[k] = place;
}

// The product with some blocks of symbols, of which nothing is kept but each row's largest, and its sum of exp by lane.
static void head_blocks(const Head& h, int64_t from, int64_t to, const HeadWork& work) {
  const int64_t rows = h.rows, count = h.count;
  for (int64_t i = 0; i < rows * W; i++) work.most[i] = -1e30f, work.sum[i] = 0;
  for (int64_t i = 0; i < rows * count; i++) work.values[i] = -__builtin_inff(), work.places[i] = 0;
  Operands o{};
  o.a = h.x, o.offsets = h.offsets, o.blocks = h.Eb, o.whole = h.E / W, o.tail = h.E % W, o.a_row = o.c_row = W;
  o.panel_stride = h.Eb * W * W, o.c = work.c, o.c_panel = rows * W;
  for (int64_t v = from; v < to; v += WIDE) {
    const int64_t panels = to - v < WIDE ? to - v : WIDE;
    o.panels = h.panels + v * o.panel_stride;
    product(o, rows, panels, h.bias + v * W);
    for (int64_t p = 0; p < panels; p++)
      for (int64_t row = 0; row < rows; row++) {
        const float* logits = work.c + (p * rows + row) * W;
        float *most = work.most + row * W, *sum = work.sum + row * W, *best = work.values + row * count;
        bool any = false;
        for (int l = 0; l < W; l += LANES) {
          const V x = load(logits + l), m = load(most + l);
          if (any_above(x, m)) {
            const V higher = at_least(x, m);
            store(sum + l, load(sum + l) * exp_(m - higher) + exp_(x - higher));
            store(most + l, higher);
          } else {
            store(sum + l, load(sum + l) + exp_(x - m));
          }
          any = any || any_above(x, splat<V>(best[count - 1]));
        }
        if (!any) continue;
        for (int l = 0; l < W; l++) {
          const int64_t place = (v + p) * W + l;
          bool allowed = logits[l] > best[count - 1];
          for (int64_t k = 0; allowed && k < h.forbidden_count; k++) allowed = h.forbidden[k] != place;
          if (allowed) insert(logits[l], place, count, best, work.places + row * count);
        }
      }
  }
}

// One row after the other, while it is in the cache.
static double cross_entropy(float* logits, const int64_t* targets, int64_t rows, int64_t n, float smoothing) {
  const float even = smoothing / float(n);
  double loss = 0;
  for (int64_t row = 0; row < rows; row++, logits += n) {
    const int64_t blocks = n / LANES * LANES;
    V most = splat<V>(-__builtin_inff()), sum[4] = {V{}, V{}, V{}, V{}}, plain = V{};
    float top = -__builtin_inff(), total = 0, mean = 0;
    for (int64_t i = 0; i < blocks; i += LANES) {
      const V x = load_any(logits + i);
      most = at_least(x, most);
      plain += x;
    }
    for (int l = 0; l < LANES; l++) top = most[l] > top || most[l] != most[l] ? most[l] : top, mean += plain[l];
    for (int64_t i = blocks; i < n; i++) top = logits[i] > top || logits[i] != logits[i] ? logits[i] : top, mean += logits[i];
    const float own = logits[targets[row]];
    const V base = splat<V>(top);
    for (int64_t i = 0; i < blocks; i += LANES) {
      const V e = exp_(load_any(logits + i) - base);
      sum[i / LANES % 4] += e;
      store_any(logits + i, e);
    }
    for (int64_t i = blocks; i < n; i++) total += logits[i] = exp_(splat<V>(logits[i] - top))[0];
    const V all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int l = 0; l < LANES; l++) total += all[l];
    loss += double(top) + double(log_(splat<V>(total))[0]) - double(1 - smoothing) * own - double(even) * mean;
    const float share = 1 / total;
    for (int64_t i = 0; i < blocks; i += LANES) store_any(logits + i, load_any(logits + i) * splat<V>(share) - splat<V>(even));
    for (int64_t i = blocks; i < n; i++) logits[i] = logits[i] * share - even;
    logits[targets[row]] -= 1 - smoothing;
  }
  return loss;
}

static double total_of(float top, const float* most, const float* sum) {
  double total = 0;
  for (int l = 0; l < W; l++) total += double(sum[l]) * double(exp_(splat<V>(most[l] - top))[0]);
  return total;
}

static double spin(int64_t rounds) {
  V a = splat<V>(0), b = a + 1, c = b + 1, d = c + 1, e = d + 1, f = e + 1, g = f + 1, h = g + 1, i = h + 1, j = i + 1;
  const V scale = splat<V>(0.999f), add = splat<V>(0.001f);
  for (int64_t r = 0; r < rounds; r++) {  // ten sums: enough to hide the latency of each
    a = a * scale + add, b = b * scale + add, c = c * scale + add, d = d * scale + add, e = e * scale + add;
    f = f * scale + add, g = g * scale + add, h = h * scale + add, i = i * scale + add, j = j * scale + add;
  }
  const V total = a + b + c + d + e + f + g + h + i + j;
  volatile float keep = total[0];
  (void)keep;
  return 2.0 * LANES * 10 * double(rounds);
}

static constexpr CellOps cells[] = {UNSPOOL_CELLS};
constexpr int cell_count = sizeof cells / sizeof *cells;

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
extern const Kernels kernels = {TEXT(UNSPOOL_ISA), cells, cell_count, forward, backward, pack_weights, stream_step, head_blocks, cross_entropy, total_of, function, spin};

}  // namespace UNSPOOL_ISA
