// Products with weights of 16 or 8 bits, for one step of a stream. Compiled once for each instruction set, UNSPOOL_ISA naming it.
//
// Weights stand as [block of 16 units][group][slot][16][depth], in the order in which they are read: a group is 2 bf16 or 4 int8 of a
// unit, which one 32-bit lane holds. Activations stay in f32 beside bf16; beside int8 each row is rounded to bytes, with a scale of
// its own.

#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "plan.h"

namespace UNSPOOL_ISA {

constexpr int W = 16, LINE = 64;
constexpr int AHEAD_LINES = 64;  // lines of weights that are fetched before they are needed

static inline uint16_t to_bf16(float f) {  // to the nearest, ties to even
  uint32_t bits;
  memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float magnitude(float f) { return f < 0 ? -f : f; }
static inline float larger(float a, float b) { return a > b ? a : b; }
static inline int32_t rounded(float f) { return int32_t(f + (f < 0 ? -0.5f : 0.5f)); }

// A slot of 16 units: rows of M, `have` of them there, of K inputs. Its lines lie `count` lines apart.
static void pack(int bits, const float* M, int64_t K, int64_t have, int64_t groups, int64_t count, void* panel, float* scale, int32_t* offset) {
  const int64_t depth = 32 / bits;
  for (int64_t i = 0; i < W; i++) {
    const float* row = M + i * K;
    float most = 0;
    for (int64_t k = 0; i < have && k < K; k++) most = larger(most, magnitude(row[k]));
    const float times = most > 0 ? 127 / most : 0;
    int32_t sum = 0;
    for (int64_t k = 0; k < groups * depth; k++) {
      const float w = i < have && k < K ? row[k] : 0.0f;
      const int64_t place = (k / depth * count * W + i) * depth + k % depth;
      if (bits == 16) {
        static_cast<uint16_t*>(panel)[place] = to_bf16(w);
      } else {
        const int32_t q = rounded(w * times);
        static_cast<int8_t*>(panel)[place] = int8_t(q);
        sum += q;
      }
    }
    scale[i] = most / 127, offset[i] = 128 * sum;
  }
}

// A row of blocks [K / 16][B][16] to floats, or to bytes around 128 times the scale that is given back.
static float convert(int bits, const float* blocks, int64_t B, int64_t Kb, void* to) {
  if (bits == 16) {
    for (int64_t k = 0; k < Kb; k++) memcpy(static_cast<float*>(to) + k * W, blocks + k * B * W, W * sizeof(float));
    return 1;
  }
  float most[W] = {}, nothing[W] = {};  // the second is not a number where something is none
  for (int64_t k = 0; k < Kb; k++)
    for (int i = 0; i < W; i++) most[i] = larger(most[i], magnitude(blocks[k * B * W + i])), nothing[i] += 0 * blocks[k * B * W + i];
  for (int i = 1; i < W; i++) most[0] = larger(most[0], most[i]), nothing[0] += nothing[i];
  if (nothing[0] != 0) return nothing[0];
  const float times = most[0] > 0 ? 127 / most[0] : 0;
  for (int64_t k = 0; k < Kb; k++)
    for (int i = 0; i < W; i++) static_cast<uint8_t*>(to)[k * W + i] = uint8_t(128 + rounded(blocks[k * B * W + i] * times));
  return most[0] / 127;
}

// Adds the products of R rows with P slots of a block of `count` to z.
template <int R, int P>
static inline void halves(const SmallWeights& w, const char* panel, int64_t count, const float* a, int64_t a_row, float* z, int64_t z_slot) {
#if defined(__AVX512F__)
  const __m512i upper = _mm512_set1_epi32(int(0xffff0000));
  __m512 even[R][P], odd[R][P];
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) even[r][p] = _mm512_load_ps(z + p * z_slot + r * W), odd[r][p] = _mm512_setzero_ps();
  for (int64_t g = 0; g < w.groups; g++, panel += count * LINE) {
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) {
      const __m512i both = _mm512_load_si512(panel + p * LINE);
      const __m512 first = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), second = _mm512_castsi512_ps(_mm512_and_si512(both, upper));
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        even[r][p] = _mm512_fmadd_ps(first, _mm512_set1_ps(a[r * a_row + 2 * g]), even[r][p]);
        odd[r][p] = _mm512_fmadd_ps(second, _mm512_set1_ps(a[r * a_row + 2 * g + 1]), odd[r][p]);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) _mm512_store_ps(z + p * z_slot + r * W, _mm512_add_ps(even[r][p], odd[r][p]));
#else
  for (int p = 0; p < P; p++)
    for (int r = 0; r < R; r++) {
      float sum[W] = {};
      for (int64_t g = 0; g < w.groups; g++) {
        uint32_t both[W];
        memcpy(both, panel + (g * count + p) * LINE, LINE);
        for (int i = 0; i < W; i++) {
          const uint32_t lower = both[i] << 16, upper = both[i] & 0xffff0000;
          float first, second;
          memcpy(&first, &lower, 4), memcpy(&second, &upper, 4);
          sum[i] += first * a[r * a_row + 2 * g] + second * a[r * a_row + 2 * g + 1];
        }
      }
      for (int i = 0; i < W; i++) z[p * z_slot + r * W + i] += sum[i];
    }
#endif
}

template <int R, int P>
static inline void bytes(const SmallWeights& w, const char* panel, int64_t count, const uint8_t* a, int64_t a_row, const float* row_scale,
                         const float* scale, const int32_t* offset, float* z, int64_t z_slot) {
#if defined(__AVX512VNNI__)
  __m512i sum[R][P];
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) sum[r][p] = _mm512_setzero_si512();
  for (int64_t g = 0; g < w.groups; g++, panel += count * LINE) {
    __m512i v[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) {
      v[p] = _mm512_load_si512(panel + p * LINE);
      __builtin_prefetch(panel + p * LINE + AHEAD_LINES * LINE);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      int32_t quad;
      memcpy(&quad, a + r * a_row + g * 4, 4);
#pragma GCC unroll 4
      for (int p = 0; p < P; p++) sum[r][p] = _mm512_dpbusd_epi32(sum[r][p], _mm512_set1_epi32(quad), v[p]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) {
      float* to = z + p * z_slot + r * W;
      const __m512 whole = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[r][p], _mm512_load_si512(offset + p * W)));
      _mm512_store_ps(to, _mm512_fmadd_ps(whole, _mm512_mul_ps(_mm512_set1_ps(row_scale[r]), _mm512_load_ps(scale + p * W)), _mm512_load_ps(to)));
    }
#else
  for (int p = 0; p < P; p++)
    for (int r = 0; r < R; r++) {
      int32_t sum[W] = {};
      for (int64_t g = 0; g < w.groups; g++) {
        const int8_t* line = reinterpret_cast<const int8_t*>(panel + (g * count + p) * LINE);
        for (int i = 0; i < W; i++)
          for (int j = 0; j < 4; j++) sum[i] += int32_t(a[r * a_row + g * 4 + j]) * int32_t(line[i * 4 + j]);
      }
      for (int i = 0; i < W; i++) z[p * z_slot + r * W + i] += float(sum[i] - offset[p * W + i]) * (row_scale[r] * scale[p * W + i]);
    }
#endif
}

template <int R, int P>
static inline void tile(int bits, const SmallWeights& w, const SmallRows& rows, int64_t row, int64_t u, int64_t s, int64_t count, float* z, int64_t z_slot) {
  const char* panel = static_cast<const char*>(w.panels) + (u * w.groups * count + s) * LINE;
  const int64_t place = (u * count + s) * W, width = w.groups * 32 / bits;
  z += s * z_slot + row * W;
  if (bits == 16) halves<R, P>(w, panel, count, static_cast<const float*>(rows.values) + row * width, width, z, z_slot);
  else bytes<R, P>(w, panel, count, static_cast<const uint8_t*>(rows.values) + row * width, width, rows.scale + row, w.scale + place, w.offset + place, z, z_slot);
}

template <int R>
static void slots(int bits, const SmallWeights& w, const SmallRows& rows, int64_t row, int64_t u, int64_t count, float* z, int64_t z_slot) {
  int64_t s = 0;
  for (; s + 4 <= count; s += 4) tile<R, 4>(bits, w, rows, row, u, s, count, z, z_slot);
  if (count - s == 3) tile<R, 3>(bits, w, rows, row, u, s, count, z, z_slot);
  else if (count - s == 2) tile<R, 2>(bits, w, rows, row, u, s, count, z, z_slot);
  else if (count - s == 1) tile<R, 1>(bits, w, rows, row, u, s, count, z, z_slot);
}

static void product(int bits, const SmallWeights& w, const SmallRows& rows, int64_t n, int64_t u, int64_t count, float* z, int64_t z_slot) {
  int64_t row = 0;
  for (; row + 3 <= n; row += 3) slots<3>(bits, w, rows, row, u, count, z, z_slot);
  for (; row < n; row++) slots<1>(bits, w, rows, row, u, count, z, z_slot);
}

// The sums of one block of units at a stream's step: the biases, W x and U s; or what is added to nested slots.
static void products(const Plan& plan, float* z, int64_t u, bool within) {
  const Small& small = *plan.small;
  const int64_t rows = plan.range[1], block = plan.B * W;
  if (within) return product(small.bits, small.v, small.v_rows, rows, u, plan.nested, z, block);
  for (int64_t slot = 0; slot < plan.slots; slot++)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < W; i++) z[slot * block + r * W + i] = plan.b[(u * plan.slots + slot) * W + i];
  product(small.bits, small.x, small.x_rows, rows, u, plan.by_x, z, block);
  product(small.bits, small.h, small.h_rows, rows, u, plan.slots - plan.by_h, z + plan.by_h * block, block);
}

extern const SmallKernels small_kernels = {pack, convert, products};

}  // namespace UNSPOOL_ISA
