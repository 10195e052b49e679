// The C interface: checks, divides the work, and hands it to the kernels that the processor can run.

#include "unspool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <numeric>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "plan.h"

#if defined(__x86_64__)
namespace avx512 { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
#endif
namespace generic { extern const Kernels kernels; }
#if defined(__x86_64__)
namespace avx512_small { extern const SmallKernels small_kernels; }
namespace avx2_small { extern const SmallKernels small_kernels; }
#endif
namespace generic_small { extern const SmallKernels small_kernels; }

namespace {

constexpr int64_t W = 16;
constexpr int64_t MOST_WIDE = 2;  // panels of an output that are worked on at once
constexpr int64_t LARGEST = int64_t(1) << 40;  // floats in one buffer

const Kernels& best() {
  const char* asked = getenv("UNSPOOL_ISA");
  const auto is = [&](const char* name) { return !asked || !strcmp(asked, name); };
#if defined(__x86_64__)
  if (is("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return avx512::kernels;
  if ((is("avx2") || is("avx512")) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kernels;
#endif
  return generic::kernels;
}

const Kernels& chosen() {
  static const Kernels& kernels = best();
  return kernels;
}

const SmallKernels& chosen_small() {
#if defined(__x86_64__)
  if (!strcmp(chosen().isa, "avx512") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni"))
    return avx512_small::small_kernels;
  if (strcmp(chosen().isa, "generic")) return avx2_small::small_kernels;
#endif
  return generic_small::small_kernels;
}

constexpr int MOST_OWN = 4096;
const CellOps* own[MOST_OWN];
std::atomic<int> own_count{0};

const CellOps* cell_at(int place) {
  const int known = chosen().cell_count;
  if (place < 0 || place >= known + own_count) return nullptr;
  return place < known ? &chosen().cells[place] : own[place - known];
}

// Hands out neighbouring pieces of a buffer, each on a cache line; without a buffer it only counts.
struct Pieces {
  float* base;
  int64_t used = 0;
  bool fits = true;
  float* floats(int64_t n) {
    float* piece = base ? base + used : nullptr;
    if (n > LARGEST - used) fits = false, n = 0;
    used += (n + W - 1) / W * W;
    return piece;
  }
  template <class T> T* of(int64_t n) { return reinterpret_cast<T*>(floats((n * int64_t(sizeof(T)) + 3) / 4)); }
};

int64_t times(std::initializer_list<int64_t> factors) {  // saturates, for sizes too large
  int64_t all = 1;
  for (int64_t f : factors)
    if (__builtin_mul_overflow(all, f, &all) || all > LARGEST) return LARGEST + 1;
  return all;
}

// How many threads are worth their while, and whether they divide rows or units.
void divide(Plan& plan, const unspool_problem& q) {
  const double step = 2.0 * double(plan.B) * plan.slots * plan.Hb * W * (plan.Hb + plan.Db) * W;
  int threads = std::max(1, std::min({int(q.threads), MAX_THREADS}));
  plan.by_units = plan.B < 16 * threads && plan.Hb >= 2 * threads;
  if (plan.by_units ? step < 6e4 * threads : step * plan.T < 2e6 * threads || plan.B < threads) threads = 1;
  if (threads == 1) plan.by_units = false;
  plan.threads = threads;
  plan.ranges = plan.by_units ? 1 : threads;
  for (int r = 0; r <= plan.ranges; r++) plan.range[r] = plan.B * r / plan.ranges;
}

bool has_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

// Lays out a call. 0, or the reason as unspool_sizes gives it.
int lay_out(Plan& plan, const unspool_problem& q, bool backward, unspool_buffers* sizes) {
  plan.cell = cell_at(q.cell);
  if (!plan.cell || q.B < 1 || q.T < 1 || q.D < 1 || q.H < 1) return 1;
  if (q.bf16 && (strcmp(chosen().isa, "avx512") || !has_bf16() || q.save == 2)) return 5;
  for (int64_t size : {q.B, q.T, q.D, q.H})
    if (size > INT32_MAX) return 2;
  plan.problem = &q;
  const unspool_cell& cell = plan.cell->cell;
  plan.B = q.B, plan.T = q.T, plan.D = q.D, plan.H = q.H;
  plan.Db = (q.D + W - 1) / W, plan.Hb = (q.H + W - 1) / W;
  plan.slots = cell.slots, plan.nested = cell.nested, plan.by_x = cell.by_x, plan.by_h = cell.by_h;
  divide(plan, q);
  const int64_t rows = std::max<int64_t>(1, plan.B / plan.ranges), nh = cell.slots - cell.by_h, B = plan.B, Hb = plan.Hb, Db = plan.Db;
  plan.chunk = std::min(plan.T, std::max<int64_t>(1, 96 / rows));
  const bool again = q.save == 2;
  const int64_t chunks = std::min((plan.T + plan.chunk - 1) / plan.chunk, std::max<int64_t>(1, 1024 / (plan.chunk * plan.B)));
  plan.again = again ? chunks * plan.chunk : plan.T;
  // A quarter of the gates is held: about as much again as the states, and a quarter less to compute.
  plan.kept_from = again ? std::min(plan.T, (plan.T - plan.T / 4 + plan.again - 1) / plan.again * plan.again) : q.save ? 0 : plan.T;
  plan.x_ring = !again ? plan.T : backward ? plan.again : plan.chunk;
  plan.z_ring = q.save == 1 ? plan.T : backward ? plan.again : plan.chunk, plan.s_ring = q.save ? plan.T + 1 : 2;

  Pieces saved{q.saved}, weights{q.weights}, work{q.work};
  Pieces& passing = again ? work : saved;
  plan.x = passing.floats(times({plan.x_ring, Db, B, W}));
  plan.z = passing.floats(times({plan.z_ring, Hb, cell.slots, B, W}));
  plan.z_kept = again ? saved.floats(times({plan.T - plan.kept_from, Hb, cell.slots, B, W})) : plan.z;
  for (int k = 0; k < cell.states; k++) plan.s[k] = saved.floats(times({plan.s_ring, Hb, B, W}));
  plan.W = weights.floats(times({Hb, cell.by_x, Db, W, W}));
  plan.U = weights.floats(times({Hb, nh, Hb, W, W}));
  plan.V = weights.floats(times({Hb, cell.nested, Hb, W, W}));
  plan.b = weights.floats(Hb * cell.slots * W);
  plan.p = (backward ? work : weights).floats(cell.parameters * Hb * W);
  int32_t* row_of = work.of<int32_t>(B);
  int32_t* length_of = q.lengths ? work.of<int32_t>(B) : nullptr;
  int32_t* count = q.lengths ? work.of<int32_t>(times({plan.T, plan.ranges})) : nullptr;
  plan.offset_x = work.of<int64_t>(Db), plan.offset_h = work.of<int64_t>(Hb);
  plan.v_ring = backward ? plan.again : 1;
  if (cell.nested) plan.v = work.floats(times({plan.v_ring, Hb, B, W}));
  if (q.bf16) {
    if (!backward) plan.x_half = work.of<uint16_t>(times({plan.T, Db, B, W}));
    if (!backward) plan.s_half = work.of<uint16_t>(times({2, Hb, B, W}));
    if (!backward && cell.nested) plan.v_half = work.of<uint16_t>(times({Hb, B, W}));
    plan.dz_ring = q.dx ? plan.T : 2;
    if (backward) plan.pairs = work.floats(times({plan.threads, GROUP + 1, LONGEST, W}));
    if (backward) plan.dz_half = work.of<uint16_t>(times({plan.dz_ring, Hb, cell.slots, B, W}));
  }
  if (backward) {
    plan.offset_dx = work.of<int64_t>(Hb * cell.by_x), plan.offset_dh = work.of<int64_t>(Hb * nh);
    plan.offset_dv = work.of<int64_t>(Hb * cell.nested);
    plan.Ut = work.floats(times({Hb, nh, Hb, W, W}));
    plan.Vt = work.floats(times({Hb, cell.nested, Hb, W, W}));
    plan.Wt = q.dx ? work.floats(times({Hb, cell.by_x, Db, W, W})) : nullptr;
    plan.dW = work.floats(times({Hb, cell.by_x, Db, W, W}));
    plan.dU = work.floats(times({Hb, nh, Hb, W, W}));
    plan.dV = work.floats(times({Hb, cell.nested, Hb, W, W}));
    plan.held = work.floats(times({plan.cell->held, Hb, B, W}));
    for (int k = 0; k < cell.states; k++) plan.carry[k] = work.floats(times({Hb, B, W}));
    plan.scratch_size = 8 * B * W;
    plan.scratch = work.floats(times({plan.threads, plan.scratch_size}));
    plan.db = work.floats(plan.threads * Hb * cell.slots * W);
    plan.dp = work.floats(plan.threads * Hb * cell.parameters * W);
  }
  if (!saved.fits || !weights.fits || !work.fits) return 2;
  if (q.lengths)
    for (int64_t i = 0; i < B; i++)
      if (q.lengths[i] < 0 || q.lengths[i] > plan.T) return 3;
  if (sizes) {
    *sizes = {saved.used, weights.used, work.used};
    return 0;
  }

  // Rows with the most steps come first, dealt out in turn, so that those still running are neighbours and each range has its share.
  std::vector<int32_t> order(B);
  std::iota(order.begin(), order.end(), 0);
  if (q.lengths) {
    std::stable_sort(order.begin(), order.end(), [&](int32_t i, int32_t j) { return q.lengths[i] > q.lengths[j]; });
    std::vector<int64_t> next(plan.range, plan.range + plan.ranges);
    for (int64_t i = 0; i < B;)
      for (int r = 0; r < plan.ranges && i < B; r++)
        if (next[r] < plan.range[r + 1]) row_of[next[r]++] = order[i++];
    for (int64_t place = 0; place < B; place++) length_of[place] = int32_t(q.lengths[row_of[place]]);
    for (int r = 0; r < plan.ranges; r++) {
      int64_t running = plan.range[r + 1] - plan.range[r];
      for (int64_t t = 0; t < plan.T; t++) {
        while (running && length_of[plan.range[r] + running - 1] <= t) running--;
        count[t * plan.ranges + r] = int32_t(running);
      }
    }
  } else {
    std::copy(order.begin(), order.end(), row_of);
  }
  plan.row_of = row_of, plan.length_of = length_of, plan.count = count;
  for (int64_t d = 0; d < Db; d++) plan.offset_x[d] = d * B * W;
  for (int64_t u = 0; u < Hb; u++) plan.offset_h[u] = u * B * W;
  if (backward)
    for (int64_t u = 0; u < Hb; u++) {
      for (int64_t s = 0; s < plan.by_x; s++) plan.offset_dx[u * plan.by_x + s] = (u * plan.slots + s) * B * W;
      for (int64_t s = 0; s < nh; s++) plan.offset_dh[u * nh + s] = (u * plan.slots + s) * B * W;
      for (int64_t s = 0; s < plan.nested; s++) plan.offset_dv[u * plan.nested + s] = (u * plan.slots + s) * B * W;
    }
  return 0;
}

template <class Work>
void on_threads(int threads, Work work) {
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    work(omp_get_thread_num(), omp_get_num_threads());
    return;
  }
#endif
  work(0, 1);
}

int run(const unspool_problem& q, bool backward) {
  Plan plan{};
  if (const int reason = lay_out(plan, q, backward, nullptr)) return reason;
  Barrier barrier;
  plan.barrier = &barrier;
  const auto act = backward ? chosen().backward : chosen().forward;
  bool short_handed = false;
  on_threads(plan.threads, [&](int thread, int team) {
    if (team == plan.threads) act(plan, thread);
    else if (thread == 0) short_handed = true;
  });
  if (short_handed) {  // fewer threads than asked for: one does it all
    plan.threads = 1;
    act(plan, 0);
  }
  return 0;
}

// The first rows of a (B, H) array to blocks of 16 units, or back.
void blocks_from(const float* from, float* to, int64_t B, int64_t rows, int64_t H) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < (H + W - 1) / W * W; i++) to[(i / W * B + row) * W + i % W] = i < H ? from[row * H + i] : 0.0f;
}

void blocks_to(const float* from, float* to, int64_t B, int64_t rows, int64_t H) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < H; i++) to[row * H + i] = from[(i / W * B + row) * W + i % W];
}

int guarded(const unspool_problem& q, bool backward) {  // no exception may leave the library
  try {
    return run(q, backward);
  } catch (const std::bad_alloc&) {
    return 4;
  }
}

struct Pool {
  std::mutex mutex;
  std::multimap<int64_t, float*> free;
  std::map<float*, int64_t> size;
  int64_t idle = 0;  // floats in `free`
  int64_t used = 0, most = 0;  // floats that are out, and the most that ever were
};

Pool& pool() {
  static Pool* pool = new Pool;  // lives as long as the process: buffers may be given back at its very end
  return *pool;
}

constexpr size_t MOST_FREE = 64;

void drop(std::multimap<int64_t, float*>::iterator from, std::multimap<int64_t, float*>::iterator to) {
  for (auto at = from; at != to; ++at) {
    pool().idle -= at->first;
    pool().size.erase(at->second);
    ::free(at->second);
  }
  pool().free.erase(from, to);
}

struct Layer {
  unspool_problem problem;
  Plan plan;
  Small small;
  float* buffers[4];
};

// Lays out a layer's weights of 16 or 8 bits, and packs them where there is memory.
int64_t small_weights(Layer& layer, const unspool_problem& q, int bits, float* memory) {
  const Plan& plan = layer.plan;
  const int64_t depth = 32 / bits, nh = plan.slots - plan.by_h;
  Pieces pieces{memory};
  Small& small = layer.small;
  small.bits = bits;
  const auto weights = [&](SmallWeights& w, SmallRows& rows, int64_t K, int64_t slots) {
    w.groups = (K + W - 1) / W * W / depth;
    w.panels = pieces.floats(times({plan.Hb, slots, w.groups, W}));
    w.scale = pieces.floats(times({plan.Hb, slots, W}));
    w.offset = pieces.of<int32_t>(times({plan.Hb, slots, W}));
    rows.values = pieces.floats(times({plan.B, w.groups, 2}));
    rows.scale = pieces.floats(plan.B);
  };
  weights(small.x, small.x_rows, plan.D, plan.by_x);
  weights(small.h, small.h_rows, plan.H, nh);
  weights(small.v, small.v_rows, plan.H, plan.nested);
  float* b = pieces.floats(plan.Hb * plan.slots * W);
  float* p = pieces.floats(plan.cell->cell.parameters * plan.Hb * W);
  if (!memory) return pieces.fits ? pieces.used : LARGEST + 1;
  const auto pack = [&](const SmallWeights& w, const float* M, int64_t K, int64_t u, int64_t s, int64_t count) {
    const int64_t place = (u * count + s) * W;
    chosen_small().pack(bits, M + u * W * K, K, std::min(W, plan.H - u * W), w.groups, count,
                        static_cast<float*>(w.panels) + (u * w.groups * count + s) * W, w.scale + place, w.offset + place);
  };
  for (int64_t u = 0; u < plan.Hb; u++) {
    for (int64_t s = 0; s < plan.by_x; s++) pack(small.x, q.W + plan.cell->gate_of[s] * plan.H * plan.D, plan.D, u, s, plan.by_x);
    for (int64_t s = 0; s < nh; s++) pack(small.h, q.U + plan.cell->product_of[plan.by_h + s] * plan.H * plan.H, plan.H, u, s, nh);
    for (int64_t s = 0; s < plan.nested; s++) pack(small.v, q.U + plan.cell->product_of[s] * plan.H * plan.H, plan.H, u, s, plan.nested);
  }
  std::copy_n(plan.b, plan.Hb * plan.slots * W, b);
  std::copy_n(plan.p, plan.cell->cell.parameters * plan.Hb * W, p);
  layer.plan.b = b, layer.plan.p = p;
  layer.plan.small = &small;
  layer.plan.small_products = chosen_small().products;
  return pieces.used;
}

void small_rows(const SmallWeights& w, const SmallRows& rows, int bits, const float* blocks, int64_t B, int64_t n, int64_t K) {
  for (int64_t row = 0; row < n; row++)
    rows.scale[row] = chosen_small().convert(bits, blocks + row * W, B, (K + W - 1) / W,
                                             static_cast<char*>(rows.values) + row * w.groups * (bits == 16 ? 8 : 4));
}

}  // namespace

struct unspool_stream {
  std::vector<Layer> layers;
  float* x;  // blocks of the first layer's input
  int64_t t, rows;  // steps done, and rows that go on
  int threads;      // at most
  bool residual;
  float* state(size_t layer, int k) const { return layers[layer].plan.s[k] + (t % 2) * layers[layer].plan.Hb * layers[layer].plan.B * W; }
};

struct unspool_head {
  int64_t V;
  Head head;
};

extern "C" {

int unspool_sizes(const unspool_problem* problem, int backward, unspool_buffers* sizes) {
  Plan plan{};
  return lay_out(plan, *problem, backward != 0, sizes);
}

int unspool_forward(const unspool_problem* problem) { return guarded(*problem, false); }

int unspool_backward(const unspool_problem* problem) { return guarded(*problem, true); }

int unspool_problem_size(void) { return int(sizeof(unspool_problem)); }

unspool_stream* unspool_stream_new(const unspool_problem* layers, int count, int residual, int bits) {
  auto* stream = new unspool_stream{std::vector<Layer>(size_t(count)), nullptr, 0, layers[0].B, std::max(1, std::min(int(layers[0].threads), MAX_THREADS)), residual != 0};
  for (int i = 0; i < count; i++) {
    Layer& layer = stream->layers[size_t(i)];
    unspool_problem& q = layer.problem;
    q = unspool_problem{};
    q.cell = layers[i].cell, q.threads = 1, q.B = layers[i].B, q.T = 2, q.D = layers[i].D, q.H = layers[i].H;
    q.W = layers[i].W, q.U = layers[i].U, q.b = layers[i].b, q.b_h = layers[i].b_h, q.p = layers[i].p;
    unspool_buffers sizes;
    const bool known = !lay_out(layer.plan, q, false, &sizes);
    if (known) {
      layer.buffers[0] = q.saved = unspool_take(sizes.saved);
      layer.buffers[1] = q.weights = unspool_take(sizes.weights);
      layer.buffers[2] = q.work = unspool_take(sizes.work);
    }
    if (!known || !q.saved || !q.weights || !q.work) {
      unspool_stream_free(stream);
      return nullptr;
    }
    lay_out(layer.plan, q, false, nullptr);
    layer.plan.chunk = layer.plan.z_ring = 1;
    layer.plan.threads = stream->threads;
    on_threads(stream->threads, [&](int thread, int team) {
      for (; thread < stream->threads; thread += team) chosen().pack_weights(layer.plan, thread);
    });
    if (bits != 32) {
      float* memory = unspool_take(small_weights(layer, q, bits, nullptr));
      layer.buffers[3] = memory;
      if (!memory) {
        unspool_stream_free(stream);
        return nullptr;
      }
      small_weights(layer, q, bits, memory);
      unspool_give(layer.buffers[1]);  // the weights as they were
      layer.buffers[1] = nullptr;
    }
    layer.plan.threads = 1;
    for (int k = 0; k < layer.plan.cell->cell.states; k++) std::fill_n(layer.plan.s[k], 2 * layer.plan.Hb * q.B * W, 0.0f);
    q.W = q.U = q.b = q.b_h = q.p = nullptr;
  }
  stream->x = stream->layers[0].plan.x;
  return stream;
}

void unspool_stream_step(unspool_stream* stream, const float* x, float* y) {
  const Plan& first = stream->layers.front().plan;
  const int64_t now = stream->t % 2;
  blocks_from(x, stream->x, first.B, stream->rows, first.D);
  float* input = stream->x;
  for (size_t i = 0; i < stream->layers.size(); i++) {
    Plan& plan = stream->layers[i].plan;
    plan.x = input - now * plan.Db * plan.B * W;
    const double work = 2.0 * double(stream->rows) * plan.slots * plan.Hb * W * (plan.Hb + plan.Db) * W;
    if (plan.small) {
      const int fed = plan.cell->cell.fed_back;
      small_rows(plan.small->x, plan.small->x_rows, plan.small->bits, input, plan.B, stream->rows, plan.D);
      small_rows(plan.small->h, plan.small->h_rows, plan.small->bits, plan.s[fed] + now * plan.Hb * plan.B * W, plan.B, stream->rows, plan.H);
    }
    const int threads = work < (plan.small ? 4e6 : 1e7) ? 1 : stream->threads;
    if (plan.nested) {
      on_threads(threads, [&](int thread, int team) { chosen().stream_step(plan, now, thread, team, true); });
      if (plan.small) small_rows(plan.small->v, plan.small->v_rows, plan.small->bits, plan.v, plan.B, stream->rows, plan.H);
    }
    on_threads(threads, [&](int thread, int team) { chosen().stream_step(plan, now, thread, team, false); });
    float* output = plan.s[0] + (1 - now) * plan.Hb * plan.B * W;
    if (stream->residual && plan.D == plan.H) {
      for (int64_t j = 0; j < plan.Hb * plan.B * W; j++) plan.z[j] = output[j] + input[j];
      output = plan.z;
    }
    input = output;
  }
  stream->t++;
  blocks_to(input, y, first.B, stream->rows, stream->layers.back().plan.H);
}

void unspool_stream_run(unspool_stream* stream, const float* x, float* y, int64_t T) {
  const int64_t B = stream->rows, D = stream->layers.front().plan.D, H = stream->layers.back().plan.H;
  std::vector<float> in(size_t(B * D)), out(size_t(B * H));
  for (int64_t t = 0; t < T; t++) {
    for (int64_t row = 0; row < B; row++) memcpy(&in[size_t(row * D)], x + (row * T + t) * D, size_t(D) * sizeof(float));
    unspool_stream_step(stream, in.data(), out.data());
    for (int64_t row = 0; row < B; row++) memcpy(y + (row * T + t) * H, &out[size_t(row * H)], size_t(H) * sizeof(float));
  }
}

void unspool_stream_get(const unspool_stream* stream, int layer, int state, float* to) {
  const Plan& plan = stream->layers[size_t(layer)].plan;
  blocks_to(stream->state(size_t(layer), state), to, plan.B, stream->rows, plan.H);
}

void unspool_stream_set(unspool_stream* stream, int layer, int state, const float* from) {
  const Plan& plan = stream->layers[size_t(layer)].plan;
  blocks_from(from, stream->state(size_t(layer), state), plan.B, stream->rows, plan.H);
}

void unspool_stream_keep(unspool_stream* stream, const int64_t* rows, int64_t count) {
  for (size_t i = 0; i < stream->layers.size(); i++) {
    Plan& plan = stream->layers[i].plan;
    const int64_t block = plan.B * W, now = stream->t % 2 * plan.Hb * block, then = (1 - stream->t % 2) * plan.Hb * block;
    for (int k = 0; k < plan.cell->cell.states; k++)  // into the place of the next state, which becomes the present one
      for (int64_t u = 0; u < plan.Hb; u++)
        for (int64_t row = 0; row < count; row++)
          memcpy(plan.s[k] + then + u * block + row * W, plan.s[k] + now + u * block + rows[row] * W, W * sizeof(float));
    plan.range[1] = count;
  }
  stream->rows = count;
  stream->t++;
}

void unspool_stream_free(unspool_stream* stream) {
  for (Layer& layer : stream->layers)
    for (float* buffer : layer.buffers) unspool_give(buffer);
  delete stream;
}

int unspool_cells(void) { return chosen().cell_count + own_count; }

const unspool_cell* unspool_cell_at(int place) {
  const CellOps* ops = cell_at(place);
  return ops ? &ops->cell : nullptr;
}

int unspool_add_cell(const void* ops) {
  static std::mutex adding;
  const std::lock_guard<std::mutex> lock(adding);
  if (own_count == MOST_OWN) return -1;
  own[own_count] = static_cast<const CellOps*>(ops);
  return chosen().cell_count + own_count++;
}

const char* unspool_isa(void) { return chosen().isa; }

unspool_head* unspool_head_new(const float* weights, const float* bias, int64_t V, int64_t E) {
  const int64_t Vb = (V + W - 1) / W, Eb = (E + W - 1) / W;
  float* memory = V > 0 && E > 0 ? unspool_take(times({Vb, W, Eb * W + 1})) : nullptr;
  if (!memory) return nullptr;
  auto* head = new unspool_head{V, {}};
  Head& h = head->head;
  h.E = E, h.Eb = Eb, h.Vb = Vb, h.panels = memory, h.bias = memory + Vb * Eb * W * W;
  for (int64_t v = 0; v < Vb * W; v++) {
    h.bias[v] = v >= V ? -__builtin_inff() : bias ? bias[v] : 0.0f;
    for (int64_t e = 0; e < Eb * W; e++) h.panels[(v / W * Eb * W + e) * W + v % W] = v < V && e < E ? weights[v * E + e] : 0.0f;
  }
  return head;
}

int unspool_head_best(const unspool_head* head, const float* x, int64_t rows, const int64_t* forbidden, int64_t forbidden_count,
                      int64_t count, float* whole, float* values, int64_t* places, int threads) {
  Head h = head->head;
  threads = std::max(1, std::min({threads, MAX_THREADS, int(h.Vb)}));
  if (2.0 * double(rows) * double(h.E) * double(head->V) < 2e6) threads = 1;
  h.rows = rows, h.count = count, h.forbidden = forbidden, h.forbidden_count = forbidden_count;
  HeadWork works[MAX_THREADS];
  const auto pieces_of = [&](float* base) {
    Pieces pieces{base};
    h.x = pieces.floats(times({h.Eb, rows, W}));
    h.offsets = pieces.of<int64_t>(h.Eb);
    for (int t = 0; t < threads; t++)
      works[t] = {pieces.floats(times({MOST_WIDE, rows, W})), pieces.floats(times({rows, W})), pieces.floats(times({rows, W})),
                  pieces.floats(times({rows, count})), pieces.of<int64_t>(times({rows, count}))};
    return pieces.fits ? pieces.used : LARGEST + 1;
  };
  float* memory = unspool_take(pieces_of(nullptr));
  if (!memory) return 4;
  pieces_of(memory);
  blocks_from(x, const_cast<float*>(h.x), rows, rows, h.E);
  for (int64_t e = 0; e < h.Eb; e++) const_cast<int64_t*>(h.offsets)[e] = e * rows * W;
  int team_size = 1;
  on_threads(threads, [&](int thread, int team) {
    if (thread == 0) team_size = team;
    chosen().head_blocks(h, h.Vb * thread / team, h.Vb * (thread + 1) / team, works[thread]);
  });
  for (int64_t row = 0; row < rows; row++) {
    float top = works[0].most[row * W];
    for (int t = 0; t < team_size; t++)
      for (int64_t l = 0; l < W; l++) top = std::max(top, works[t].most[row * W + l]);
    double total = 0;
    for (int t = 0; t < team_size; t++) total += chosen().total_of(top, works[t].most + row * W, works[t].sum + row * W);
    whole[row] = top + float(log(total));
    int64_t next[MAX_THREADS] = {};
    for (int64_t k = 0; k < count; k++) {  // the threads' lists are sorted, and an earlier thread has earlier symbols
      int from = 0;
      for (int t = 1; t < team_size; t++)
        if (works[t].values[row * count + next[t]] > works[from].values[row * count + next[from]]) from = t;
      const int64_t at = row * count + next[from]++;
      values[row * count + k] = works[from].values[at], places[row * count + k] = works[from].places[at];
    }
  }
  unspool_give(memory);
  return 0;
}

void unspool_head_free(unspool_head* head) {
  unspool_give(head->head.panels);
  delete head;
}

double unspool_cross_entropy(float* logits, const int64_t* targets, int64_t rows, int64_t V, float smoothing, int threads) {
  threads = double(rows) * double(V) < 1e5 ? 1 : std::max(1, std::min(threads, MAX_THREADS));
  double parts[MAX_THREADS] = {};
  on_threads(threads, [&](int thread, int team) {
    const int64_t from = rows * thread / team, to = rows * (thread + 1) / team;
    parts[thread] = chosen().cross_entropy(logits + from * V, targets + from, to - from, V, smoothing);
  });
  return std::accumulate(parts, parts + threads, 0.0);
}

void unspool_function(int which, const float* x, float* y, int64_t n) { chosen().function(which, x, y, n); }

double unspool_peak(int threads) {
  timespec began, ended;
  double operations = 0;
  on_threads(threads, [](int, int) { chosen().spin(1000000); });
  clock_gettime(CLOCK_MONOTONIC, &began);
  on_threads(threads, [&](int, int) {
    const double mine = chosen().spin(20000000);
#ifdef _OPENMP
#pragma omp atomic
#endif
    operations += mine;
  });
  clock_gettime(CLOCK_MONOTONIC, &ended);
  return operations / (double(ended.tv_sec - began.tv_sec) * 1e9 + double(ended.tv_nsec - began.tv_nsec));
}

float* unspool_take(int64_t floats) {
  const std::lock_guard<std::mutex> lock(pool().mutex);
  auto fit = pool().free.lower_bound(floats);
  if (fit != pool().free.end() && fit->first <= floats + floats / 8 + 4096) {  // a looser fit would be missed where it belongs
    float* memory = fit->second;
    pool().idle -= fit->first;
    pool().used += fit->first;
    pool().most = std::max(pool().most, pool().used);
    pool().free.erase(fit);
    return memory;
  }
  pool().most = std::max(pool().most, pool().used + floats);
  while (!pool().free.empty() && pool().used + floats + pool().idle > pool().most + pool().most / 2)  // they were for other sizes
    drop(std::prev(pool().free.end()), pool().free.end());
  constexpr int64_t PAGE = int64_t(1) << 21;
  const int64_t step = floats * 4 >= PAGE ? PAGE : 4096, bytes = (floats * 4 + step) / step * step;
  void* memory = nullptr;
  if (floats < 0 || floats > LARGEST || posix_memalign(&memory, size_t(step), size_t(bytes))) return nullptr;
#if defined(__linux__)
  if (step == PAGE) madvise(memory, size_t(bytes), MADV_HUGEPAGE);
#endif
  for (int64_t at = 0; at < bytes; at += 4096) static_cast<char*>(memory)[at] = 0;
  pool().size[static_cast<float*>(memory)] = bytes / 4;
  pool().used += bytes / 4;
  return static_cast<float*>(memory);
}

void unspool_give(float* memory) {
  const std::lock_guard<std::mutex> lock(pool().mutex);
  const auto known = pool().size.find(memory);
  if (known == pool().size.end()) return;
  pool().free.emplace(known->second, memory);
  pool().idle += known->second;
  pool().used -= known->second;
  if (pool().free.size() > MOST_FREE) drop(pool().free.begin(), std::next(pool().free.begin()));  // the smallest is the cheapest to have again
}

}  // extern "C"
