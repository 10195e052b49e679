// Vectors of floats in the compiler's own notation, and the functions that equations use. Included once for each instruction set,
// inside that set's namespace, so nothing here may be shared between them (no standard library templates either).
//
// exp, sigmoid, tanh and log are within 2 ulp over the whole range and pass on what is not finite.

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float V __attribute__((vector_size(LANES * 4)));
typedef int32_t VI __attribute__((vector_size(LANES * 4)));
typedef float Unaligned __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

constexpr int W = 16;           // floats in a block: a cache line
constexpr int NV = W / LANES;   // vectors in a block

template <class T> static inline T splat(float f) {
#if LANES == 16
  return T{f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f};
#elif LANES == 8
  return T{f, f, f, f, f, f, f, f};
#else
  return T{f, f, f, f};
#endif
}

static inline V load(const float* p) { return *reinterpret_cast<const V*>(p); }
static inline V load_any(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
static inline void store_any(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
static inline VI bits(V v) { return reinterpret_cast<VI>(v); }
static inline V floats(VI v) { return reinterpret_cast<V>(v); }
static inline VI ints(int32_t i) { return VI{} + i; }

static inline V relu_(V x) { return x <= splat<V>(0) ? splat<V>(0) : x; }  // a NaN comes through
static inline V larger_(V x, V y) { return (x >= y) | (x != x) ? x : y; }  // as unspool.cells.ops.maximum has it
static inline V where_positive_(V x, V d) { return x > splat<V>(0) ? d : splat<V>(0); }
static inline V abs_(V x) { return floats(bits(x) & ints(0x7fffffff)); }
static inline V with_sign_of(V x, V s) { return floats(bits(x) | (bits(s) & ints(int32_t(0x80000000)))); }

#if LANES == 16
constexpr __mmask16 ALL = 0xffff;  // the forms without a mask make GCC 12 warn of its own header
static inline V at_least(V x, V low) { return _mm512_maskz_max_ps(ALL, low, x); }  // a NaN comes through
static inline V at_most(V x, V high) { return _mm512_maskz_min_ps(ALL, high, x); }
static inline V times_two_to(V x, V n) { return _mm512_maskz_scalef_ps(ALL, x, n); }
static inline V times_two_to_near(V x, V n) { return times_two_to(x, n); }
#else
static inline V at_least(V x, V low) { return x < low ? low : x; }
static inline V at_most(V x, V high) { return x > high ? high : x; }
static inline V power_of_two(VI n) { return floats((n + ints(127)) << 23); }  // for -127 < n < 128
static inline V times_two_to(V x, V n) {  // x * 2^n for integers n, in two steps, for results below the normal range
  const VI whole = __builtin_convertvector(n, VI), half = whole >> 1;
  return x * power_of_two(half) * power_of_two(whole - half);
}
static inline V times_two_to_near(V x, V n) { return x * power_of_two(__builtin_convertvector(n, VI)); }  // for -127 < n < 128
#endif

// x = n ln 2 + r with |r| <= ln 2 / 2: gives r and the integer n. For |x| < 2^21.
static inline V reduced(V x, V& n) {
  const V magic = splat<V>(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  n = (x * splat<V>(1.44269504088896341f) + magic) - magic;
  const V r = x - n * splat<V>(0.693359375f);
  return r + n * splat<V>(2.12194440e-4f);
}

// (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2 (the polynomial of Cephes' expf).
static inline V exp_tail(V r) {
  V p = splat<V>(1.9875691500e-4f);
  p = p * r + splat<V>(1.3981999507e-3f);
  p = p * r + splat<V>(8.3334519073e-3f);
  p = p * r + splat<V>(4.1665795894e-2f);
  p = p * r + splat<V>(1.6666665459e-1f);
  return p * r + splat<V>(5.0000001201e-1f);
}

// exp(x) for -104 <= x <= 89; what is not a number stays none.
static inline V exp_within(V x) {
  V n;
  const V r = reduced(x, n);
  return times_two_to(exp_tail(r) * (r * r) + r + splat<V>(1), n);
}

// Beyond the bounds it is 0 or infinity.
static inline V exp_(V x) { return exp_within(at_most(at_least(x, splat<V>(-104)), splat<V>(89))); }

static inline V sigmoid_(V x) {
  const V e = exp_within(at_least(-abs_(x), splat<V>(-104)));
  const V d = splat<V>(1) + e;
  const V q = (x < splat<V>(0) ? e : splat<V>(1)) / d;
  return q - q * (e - (d - splat<V>(1)));  // what rounding took from d
}

// Near 0 the polynomial of Cephes' tanhf, beyond it 1 - 2 e / (1 + e) with e = exp(-2 |x|).
static inline V tanh_(V x) {
  const V a = at_least(splat<V>(-2) * abs_(x), splat<V>(-40));
  V n;
  const V r = reduced(a, n);
  const V e = times_two_to_near(exp_tail(r) * (r * r) + r + splat<V>(1), n);
  const V far = with_sign_of(splat<V>(1) - (e + e) / (splat<V>(1) + e), x);
  const V z = x * x;
  V p = splat<V>(-5.70498872745e-3f);
  p = p * z + splat<V>(2.06390887954e-2f);
  p = p * z + splat<V>(-5.37397155531e-2f);
  p = p * z + splat<V>(1.33314422036e-1f);
  p = p * z + splat<V>(-3.33332819422e-1f);
  const V near = p * z * x + x;
  return a > splat<V>(-1.25f) ? near : far;
}

static inline V log_(V x) {
  const V tiny = splat<V>(1.17549435e-38f);
  const V scaled = x < tiny ? x * splat<V>(8388608.0f) : x;
  VI n = ((bits(scaled) >> 23) & ints(0xff)) - ints(126);
  n = x < tiny ? n - ints(23) : n;
  V m = floats((bits(scaled) & ints(0x007fffff)) | ints(0x3f000000));  // in [1/2, 1)
  const VI low = m < splat<V>(0.707106781186547524f);
  m = low ? m + m : m;
  n = low ? n - ints(1) : n;
  const V f = m - splat<V>(1), e = __builtin_convertvector(n, V);
  V p = splat<V>(7.0376836292e-2f);  // the polynomial of Cephes' logf
  p = p * f + splat<V>(-1.1514610310e-1f);
  p = p * f + splat<V>(1.1676998740e-1f);
  p = p * f + splat<V>(-1.2420140846e-1f);
  p = p * f + splat<V>(1.4249322787e-1f);
  p = p * f + splat<V>(-1.6668057665e-1f);
  p = p * f + splat<V>(2.0000714765e-1f);
  p = p * f + splat<V>(-2.4999993993e-1f);
  p = p * f + splat<V>(3.3333331174e-1f);
  V y = p * f * (f * f) + e * splat<V>(-2.12194440e-4f) - splat<V>(0.5f) * (f * f);
  y = (f + y) + e * splat<V>(0.693359375f);
  y = x == splat<V>(0) ? splat<V>(-__builtin_inff()) : y;
  y = x < splat<V>(0) ? splat<V>(__builtin_nanf("")) : y;
  y = x == splat<V>(__builtin_inff()) ? x : y;
  return x == x ? y : x;
}
