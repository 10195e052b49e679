// Matrix products on blocks of 16 floats. Everything over time is laid out as [step][block of 16 units][row][16].
//
// `product`: c[row][16] += sum over k of a[row][k] * panel[k][16], for several panels of packed weights.
// `outer`:   c[i][16]   += sum over rows of a[row][i] * b[row][16], a weight gradient; blocks are panels as they stand.

constexpr int REGISTERS = LANES == 16 ? 24 : 12;  // for sums; the rest hold operands
constexpr int MOST_PANELS = 4;
constexpr int WIDE = LANES == 16 ? 2 : 1;  // panels at once where rows are many
constexpr int AHEAD = 32;                  // rows of a panel that are fetched before they are needed,
constexpr int FEW = 3;                     // but not where each is used so few times that the processor's own fetching is what counts
constexpr int DEEP = 8;                    // blocks of k that one sum goes over: sums of sums are more exact than one long sum

static constexpr int most_rows(int panels) { return REGISTERS / (panels * NV) > 12 ? 12 : REGISTERS / (panels * NV); }

// Where the operands of a product lie. a of block q starts at a + offsets[q].
struct Operands {
  const float* a;
  const uint16_t* half;  // a in bf16, laid out alike; then panels are too, in pairs of k (see `halved`)
  const int64_t* offsets;
  int64_t blocks;    // of k
  int64_t whole;     // blocks before those that hold only `tail` of 16
  int64_t tail;
  int64_t a_row;     // from row to row, in a and in c; 16 where rows are neighbours
  int64_t c_row;
  const float* panels;
  int64_t panel_stride;
  float* c;
  int64_t c_panel;
};

// sum += a's rows times `count` rows of P panels, from k = 0 of a block on.
template <int R, int P>
static inline void product_block(V (&sum)[R][P][NV], const float* a, int64_t a_row, const float* weights, int64_t panel_stride, int count) {
#pragma GCC unroll 4
  for (int k = 0; k < count; k++) {
    V w[P][NV];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++)
#pragma GCC unroll 16
      for (int v = 0; v < NV; v++) w[p][v] = load(weights + p * panel_stride + k * W + v * LANES);
    if (R > FEW)
      for (int p = 0; p < P; p++) __builtin_prefetch(weights + p * panel_stride + (k + AHEAD) * W);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const V x = splat<V>(a[r * a_row + k]);
#pragma GCC unroll 16
      for (int p = 0; p < P; p++)
#pragma GCC unroll 16
        for (int v = 0; v < NV; v++) sum[r][p][v] += x * w[p][v];
    }
  }
}

template <int R, int P, bool CLOSE>
static void product_tile(const Operands& o, int64_t row, int64_t panel, const float* bias) {
  const int64_t a_row = CLOSE ? W : o.a_row, c_row = CLOSE ? W : o.c_row;
  const float* a = o.a + row * a_row;
  float* c = o.c + panel * o.c_panel + row * c_row;
  const float* weights = o.panels + panel * o.panel_stride;
  for (int64_t q = 0; q < o.blocks;) {
    const int64_t end = q + DEEP < o.blocks ? q + DEEP : o.blocks;
    V sum[R][P][NV];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
      for (int p = 0; p < P; p++)
#pragma GCC unroll 16
        for (int v = 0; v < NV; v++) sum[r][p][v] = V{};
    const float* start = q == 0 ? bias : nullptr;
    for (; q < end && q < o.whole; q++, weights += W * W) product_block(sum, a + o.offsets[q], a_row, weights, o.panel_stride, W);
    for (; q < end; q++, weights += W * W) product_block(sum, a + o.offsets[q], a_row, weights, o.panel_stride, int(o.tail));
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
      for (int p = 0; p < P; p++)
#pragma GCC unroll 16
        for (int v = 0; v < NV; v++) {
          float* to = c + p * o.c_panel + r * c_row + v * LANES;
          store(to, sum[r][p][v] + load(start ? start + (panel + p) * W + v * LANES : to));
        }
  }
}

#if LANES == 16 && defined(__x86_64__)
#define HALF __attribute__((target("avx512f,avx512bw,avx512bf16")))

HALF static void to_halves(const float* from, uint16_t* to, int64_t blocks) {
  for (int64_t i = 0; i < blocks; i++)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * W), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i * W)));
}

HALF static inline __m512i pair_places() {  // 0, 16, 1, 17, ...
  alignas(64) uint16_t places[32];
  for (int i = 0; i < 16; i++) places[2 * i] = uint16_t(i), places[2 * i + 1] = uint16_t(16 + i);
  return _mm512_load_si512(places);
}

// A panel (k, 16) in place to (k / 2, 16, 2) in bf16; k is a multiple of 16.
HALF static void halved(float* panel, int64_t k) {
  const __m512i pairs = pair_places();
  for (int64_t i = 0; i < k; i += 2) {
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(panel + (i + 1) * W), _mm512_loadu_ps(panel + i * W));
    _mm512_storeu_si512(panel + i / 2 * W, _mm512_permutexvar_epi16(pairs, both));
  }
}

// sum += a pair of k of R rows, `row` pairs apart, times that of P panels.
template <int R, int P>
HALF static inline void add_pairs(__m512 (&sum)[R][P], const void* a, int64_t row, const float* w, int64_t panel) {
  __m512bh both[P];
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) both[p] = (__m512bh)_mm512_load_si512(w + p * panel);
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
    int32_t pair;
    __builtin_memcpy(&pair, static_cast<const int32_t*>(a) + r * row, 4);
    const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) sum[r][p] = _mm512_dpbf16_ps(sum[r][p], both[p], x);
  }
}

template <int R, int P>
HALF static inline void half_tile(const Operands& o, int64_t row, int64_t panel, const float* bias) {
  const uint16_t* a = o.half + row * o.a_row;
  float* c = o.c + panel * o.c_panel + row * o.c_row;
  const float* weights = o.panels + panel * o.panel_stride;
  for (int64_t q = 0; q < o.blocks;) {
    const int64_t end = q + 2 * DEEP < o.blocks ? q + 2 * DEEP : o.blocks;
    __m512 sum[R][P];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) sum[r][p] = _mm512_setzero_ps();
    const float* start = q == 0 ? bias : nullptr;
    for (; q < end; q++, weights += W * W / 2) {
      const uint16_t* block = a + o.offsets[q];
#pragma GCC unroll 2
      for (int k = 0; k < W / 2; k++) {
        if (R > FEW)
          for (int p = 0; p < P; p++) __builtin_prefetch(weights + p * o.panel_stride + (k + AHEAD) * W);
        add_pairs(sum, block + 2 * k, o.a_row / 2, weights + k * W, o.panel_stride);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        float* to = c + p * o.c_panel + r * o.c_row;
        _mm512_store_ps(to, _mm512_add_ps(sum[r][p], _mm512_load_ps(start ? start + (panel + p) * W : to)));
      }
  }
}

#else
static void to_halves(const float*, uint16_t*, int64_t) {}
static void halved(float*, int64_t) {}
template <int R, int P>
static void half_tile(const Operands&, int64_t, int64_t, const float*) {}
#endif

enum Kind { FAR, NEAR, HALVES };  // rows apart, or neighbours; or operands in bf16

template <int P, Kind KIND>
static void product_rows(const Operands& o, int64_t rows, int64_t panel, const float* bias) {
  constexpr int most = most_rows(P) ? most_rows(P) : 1;
  int64_t tiles = (rows + most - 1) / most;
  for (int64_t row = 0; tiles; tiles--) {  // tiles of nearly equal heights, for a low one wastes the multipliers
    const int64_t height = (rows - row + tiles - 1) / tiles;
    switch (height) {
#define HEIGHT(R) \
  case R: \
    if constexpr (R <= most && KIND == HALVES) half_tile<R, P>(o, row, panel, bias); \
    else if constexpr (R <= most) product_tile<R, P, KIND == NEAR>(o, row, panel, bias); \
    break;
      HEIGHT(1) HEIGHT(2) HEIGHT(3) HEIGHT(4) HEIGHT(5) HEIGHT(6) HEIGHT(7) HEIGHT(8) HEIGHT(9) HEIGHT(10) HEIGHT(11) HEIGHT(12)
#undef HEIGHT
    }
    row += height;
  }
}

// `bias` (panels, 16) is where the sums start; without one they are added to c.
template <Kind KIND>
static void product_panels(const Operands& o, int64_t rows, int64_t panels, const float* bias) {
  if (rows <= 0) return;
  int wide = WIDE;
  while (wide < MOST_PANELS && most_rows(wide + 1) >= rows) wide++;
  for (int64_t panel = 0; panel < panels;) {
    const int64_t left = panels - panel, now = left < wide ? left : wide;
    if (now == 4) product_rows<4, KIND>(o, rows, panel, bias);
    else if (now == 3) product_rows<3, KIND>(o, rows, panel, bias);
    else if (now == 2) product_rows<2, KIND>(o, rows, panel, bias);
    else product_rows<1, KIND>(o, rows, panel, bias);
    panel += now;
  }
}

static void product(const Operands& o, int64_t rows, int64_t panels, const float* bias) {
  if (o.half) product_panels<HALVES>(o, rows, panels, bias);
  else if (o.a_row == W && o.c_row == W) product_panels<NEAR>(o, rows, panels, bias);
  else product_panels<FAR>(o, rows, panels, bias);
}

// Rows that are summed over: `count` of them at one step, from `row` on.
struct Rows {
  int64_t step, row, count;
};

struct Sums {
  const float *a, *b;
  int64_t a_step, b_step;  // from step to step
  int64_t a_row, b_row;    // from row to row
};

template <int R, int P>
static inline void outer_tile(
    const Sums& s, const float* a, const float* b, int64_t b_panel, const Rows* rows, const Rows* end, float* c, int64_t c_panel, bool first) {
  V sum[R][P][NV];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int p = 0; p < P; p++)
#pragma GCC unroll 16
      for (int v = 0; v < NV; v++) sum[r][p][v] = V{};
  for (int p = 0; p < P; p++)  // what the sums are added to is far off by now, and is needed at the end
    for (int r = 0; r < R; r++) __builtin_prefetch(c + p * c_panel + r * W, 1);
  for (; rows != end; rows++) {
    const float* ap = a + rows->step * s.a_step + rows->row * s.a_row;
    const float* bp = b + rows->step * s.b_step + rows->row * s.b_row;
    const int64_t a_row = s.a_row, b_row = s.b_row;
#pragma GCC unroll 4
    for (int64_t k = 0; k < rows->count; k++) {
      V w[P][NV];
#pragma GCC unroll 16
      for (int p = 0; p < P; p++)
#pragma GCC unroll 16
        for (int v = 0; v < NV; v++) w[p][v] = load(bp + p * b_panel + v * LANES);
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        const V x = splat<V>(ap[r]);
#pragma GCC unroll 16
        for (int p = 0; p < P; p++)
#pragma GCC unroll 16
          for (int v = 0; v < NV; v++) sum[r][p][v] += x * w[p][v];
      }
      ap += a_row;
      bp += b_row;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int p = 0; p < P; p++)
#pragma GCC unroll 16
      for (int v = 0; v < NV; v++) {
        float* to = c + p * c_panel + r * W + v * LANES;
        store(to, first ? sum[r][p][v] : sum[r][p][v] + load(to));
      }
}

// c (blocks, 16, 16) from the first `have` of one block of a and `blocks` neighbouring blocks of b.
static void outer(const Sums& s, int64_t a_at, int64_t have, int64_t b_panel, int64_t b0, int64_t b1, const Rows* rows, const Rows* end, float* c, bool first) {
  const float* a = s.a + a_at;
  for (int64_t block = b0; block < b1;) {
    const float* b = s.b + block * b_panel;
    float* to = c + block * W * W;
#if LANES == 16
    if (block + 2 <= b1) {
      outer_tile<8, 2>(s, a, b, b_panel, rows, end, to, W * W, first);
      if (have > 8) outer_tile<8, 2>(s, a + 8, b, b_panel, rows, end, to + 8 * W, W * W, first);
      block += 2;
      continue;
    }
    outer_tile<16, 1>(s, a, b, b_panel, rows, end, to, W * W, first);
#elif LANES == 8
    outer_tile<6, 1>(s, a, b, b_panel, rows, end, to, W * W, first);
    if (have > 6) outer_tile<5, 1>(s, a + 6, b, b_panel, rows, end, to + 6 * W, W * W, first);
    if (have > 11) outer_tile<5, 1>(s, a + 11, b, b_panel, rows, end, to + 11 * W, W * W, first);
#else
    for (int i = 0; i < W && i < have; i += 2) outer_tile<2, 1>(s, a + i, b, b_panel, rows, end, to + i * W, W * W, first);
#endif
    block++;
  }
}

#if LANES == 16 && defined(__x86_64__)
// Rows of one block, two by two and rounded to bf16: (pairs, 16, 2). How many pairs; one without a second row has zeros for it.
HALF static int64_t paired(const float* from, int64_t step, int64_t row, const Rows* rows, const Rows* end, float* to) {
  const __m512i places = pair_places();
  int64_t n = 0;
  for (; rows != end; rows++) {
    const float* at = from + rows->step * step + rows->row * row;
    for (int64_t k = 0; k < rows->count; k += 2, n++) {
      const __m512 second = k + 1 < rows->count ? _mm512_loadu_ps(at + (k + 1) * row) : _mm512_setzero_ps();
      const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, _mm512_loadu_ps(at + k * row));
      _mm512_storeu_si512(to + n * W, _mm512_permutexvar_epi16(places, both));
    }
  }
  return n;
}

template <int P>
HALF static inline void paired_tile(const float* a, const float* b, int64_t b_panel, int64_t pairs, float* c, int64_t c_panel, bool first) {
  constexpr int R = 8;
  __m512 sum[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) sum[r][p] = _mm512_setzero_ps();
  for (int p = 0; p < P; p++)
    for (int r = 0; r < R; r++) __builtin_prefetch(c + p * c_panel + r * W, 1);
#pragma GCC unroll 4
  for (int64_t k = 0; k < pairs; k++) add_pairs(sum, a + k * W, 1, b + k * W, b_panel);
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
      float* to = c + p * c_panel + r * W;
      _mm512_store_ps(to, first ? sum[r][p] : _mm512_add_ps(sum[r][p], _mm512_load_ps(to)));
    }
}

// As `outer`, from operands that `paired` made: c (blocks, 16, 16) from the first `have` of a and blocks [b0, b1) of b.
static void outer_paired(const float* a, int64_t have, const float* b, int64_t blocks, int64_t pairs, float* c, bool first) {
  constexpr int64_t panel = LONGEST * W;
  for (int64_t block = 0; block < blocks;) {
    float* to = c + block * W * W;
    if (block + 2 <= blocks) {
      paired_tile<2>(a, b + block * panel, panel, pairs, to, W * W, first);
      if (have > 8) paired_tile<2>(a + 8, b + block * panel, panel, pairs, to + 8 * W, W * W, first);
      block += 2;
    } else {
      paired_tile<1>(a, b + block * panel, panel, pairs, to, W * W, first);
      if (have > 8) paired_tile<1>(a + 8, b + block * panel, panel, pairs, to + 8 * W, W * W, first);
      block++;
    }
  }
}
#else
static int64_t paired(const float*, int64_t, int64_t, const Rows*, const Rows*, float*) { return 0; }
static void outer_paired(const float*, int64_t, const float*, int64_t, int64_t, float*, bool) {}
#endif
