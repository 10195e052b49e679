// The recurrence over time: what every cell shares. See plan.h for how work is divided, product.h for the layout.

static inline void wait(const Plan& plan) {
  if (plan.threads == 1) return;
  Barrier* barrier = plan.barrier;
  const int round = __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE);
  if (__atomic_add_fetch(&barrier->waiting, 1, __ATOMIC_ACQ_REL) == plan.threads) {
    __atomic_store_n(&barrier->waiting, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->round, round + 1, __ATOMIC_RELEASE);
    return;
  }
  for (int spins = 0; __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round; spins++) {
    if (spins < 4000) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      sched_yield();
    }
  }
}

static inline void share(int64_t n, int part, int parts, int64_t& from, int64_t& to) {
  from = n * part / parts;
  to = n * (part + 1) / parts;
}

// The caller's step at our step t for the row at a place of ours.
static inline int64_t time_of(const Plan& plan, int64_t place, int64_t t) {
  if (!plan.problem->reverse) return t;
  return (plan.length_of ? plan.length_of[place] : plan.T) - 1 - t;
}

static inline int64_t running(const Plan& plan, int64_t t, int range) {
  if (t >= plan.T) return 0;
  return plan.count ? plan.count[t * plan.ranges + range] : plan.range[range + 1] - plan.range[range];
}

static inline void copy_in(float* block, const float* row, int64_t have) {  // up to 16 floats, zeros behind them
  if (have >= W) {
    for (int v = 0; v < NV; v++) store(block + v * LANES, load_any(row + v * LANES));
  } else {
    for (int i = 0; i < W; i++) block[i] = i < have ? row[i] : 0.0f;
  }
}

static inline void copy_out(float* row, const float* block, int64_t have) {
  if (have >= W) {
    for (int v = 0; v < NV; v++) store_any(row + v * LANES, load(block + v * LANES));
  } else {
    for (int i = 0; i < have; i++) row[i] = block[i];
  }
}

// A (B, H) array to blocks [block][place][16], or back.
static void state_in(const Plan& plan, const float* from, float* to, int64_t place, int64_t end) {
  for (; place < end; place++)
    for (int64_t u = 0; u < plan.Hb; u++) {
      float* block = to + (u * plan.B + place) * W;
      if (from) copy_in(block, from + plan.row_of[place] * plan.H + u * W, plan.H - u * W);
      else for (int i = 0; i < W; i++) block[i] = 0;
    }
}

static void state_out(const Plan& plan, const float* from, float* to, int64_t place) {
  for (int64_t u = 0; u < plan.Hb; u++)
    copy_out(to + plan.row_of[place] * plan.H + u * W, from + (u * plan.B + place) * W, plan.H - u * W);
}

// One block of units of some rows at step t, to the caller's (B, T, H).
static void rows_out(const Plan& plan, float* to, const float* blocks, int64_t place, int64_t rows, int64_t t, int64_t u) {
  const int64_t have = plan.H - u * W;
  for (int64_t r = 0; r < rows; r++)
    copy_out(to + (plan.row_of[place + r] * plan.T + time_of(plan, place + r, t)) * plan.H + u * W, blocks + r * W, have);
}

// The lanes behind the last unit never hold anything but zeros.
static void clear_tail(const Plan& plan, int64_t u, float* blocks, int64_t rows) {
  const int64_t have = plan.H - u * W;
  if (have >= W) return;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = have; i < W; i++) blocks[r * W + i] = 0;
}

static void pack_parameters(const Plan& plan, int64_t from, int64_t to) {
  const unspool_problem& q = *plan.problem;
  for (int64_t i = 0; i < plan.cell->cell.parameters; i++)
    for (int64_t u = from; u < to; u++) copy_in(plan.p + (i * plan.Hb + u) * W, q.p + i * plan.H + u * W, plan.H - u * W);
}

static void pack_weights(const Plan& plan, int thread) {
  const unspool_problem& q = *plan.problem;
  const CellOps& cell = *plan.cell;
  int64_t from, to;
  share(plan.Hb, thread, plan.threads, from, to);
  pack_parameters(plan, from, to);
  for (int64_t u = from; u < to; u++) {
    for (int64_t slot = 0; slot < plan.slots; slot++) {
      const int gate = cell.gate_of[slot], unit = int(plan.H - u * W < W ? plan.H - u * W : W);
      float* bias = plan.b + (u * plan.slots + slot) * W;
      for (int i = 0; i < W; i++) {
        const float* b = slot < plan.by_x ? q.b + gate * plan.H : cell.bias_of[slot] >= 0 ? q.b_h + cell.bias_of[slot] * plan.H : nullptr;
        bias[i] = b && i < unit ? b[u * W + i] : 0.0f;
      }
      auto panel = [&](float* to_, const float* M, int64_t columns, int64_t blocks) {  // to[k][i] = M[u * 16 + i][k]
        for (int64_t k = 0; k < blocks * W; k++)
          for (int i = 0; i < W; i++) to_[k * W + i] = k < columns && i < unit ? M[(u * W + i) * columns + k] : 0.0f;
        if (q.bf16) halved(to_, blocks * W);
      };
      if (slot < plan.by_x) panel(plan.W + (u * plan.by_x + slot) * plan.Db * W * W, q.W + gate * plan.H * plan.D, plan.D, plan.Db);
      if (slot < plan.nested) panel(plan.V + (u * plan.nested + slot) * plan.Hb * W * W, q.U + cell.product_of[slot] * plan.H * plan.H, plan.H, plan.Hb);
      if (slot >= plan.by_h) {
        const int64_t at = u * (plan.slots - plan.by_h) + slot - plan.by_h;
        panel(plan.U + at * plan.Hb * W * W, q.U + cell.product_of[slot] * plan.H * plan.H, plan.H, plan.Hb);
      }
    }
  }
}

static inline float* x_at(const Plan& plan, int64_t t) { return plan.x + (t % plan.x_ring) * plan.Db * plan.B * W; }

// Steps [t0, t1) of ranges [range0, range1).
static void pack_input(const Plan& plan, int64_t t0, int64_t t1, int range0, int range1) {
  const unspool_problem& q = *plan.problem;
  for (int64_t t = t0; t < t1; t++)
    for (int range = range0; range < range1; range++)
      for (int64_t place = plan.range[range], end = place + running(plan, t, range); place < end; place++) {
        const float* row = q.x + plan.row_of[place] * q.x_batch + time_of(plan, place, t) * q.x_step;
        for (int64_t d = 0; d < plan.Db; d++) {
          float* block = x_at(plan, t) + (d * plan.B + place) * W;
          copy_in(block, row + d * W, plan.D - d * W);
          if (plan.x_half) to_halves(block, plan.x_half + ((t * plan.Db + d) * plan.B + place) * W, 1);
        }
      }
}

static inline float* z_at(const Plan& plan, int64_t t, int64_t u) {
  const bool kept = t >= plan.kept_from;
  return (kept ? plan.z_kept : plan.z) + ((kept ? t - plan.kept_from : t % plan.z_ring) * plan.Hb + u) * plan.slots * plan.B * W;
}

static inline float* s_at(const Plan& plan, int k, int64_t t, int64_t u) {
  return plan.s[k] + ((t % plan.s_ring) * plan.Hb + u) * plan.B * W;
}

static inline float* v_at(const Plan& plan, int64_t t, int64_t u) { return plan.v + ((t % plan.v_ring) * plan.Hb + u) * plan.B * W; }

// W x<t> + b of steps [t0, t1), for units [u0, u1); slots without an input take their bias.
static void input_product(const Plan& plan, int range, int64_t t0, int64_t t1, int64_t u0, int64_t u1) {
  const int64_t place = plan.range[range], block = plan.B * W;
  for (int64_t u = u0; u < u1; u++) {
    const float* bias = plan.b + u * plan.slots * W;
    Operands o{};
    o.offsets = plan.offset_x, o.blocks = plan.Db, o.whole = plan.D / W, o.tail = plan.D % W, o.a_row = o.c_row = W;
    o.panels = plan.W + u * plan.by_x * plan.Db * W * W, o.panel_stride = plan.Db * W * W, o.c_panel = block;
    if (plan.B == 1 && !plan.count) {  // the steps are the rows
      o.a = x_at(plan, t0), o.a_row = plan.Db * W;
      if (plan.x_half) o.half = plan.x_half + t0 * plan.Db * W;
      o.c = z_at(plan, t0, u), o.c_row = plan.Hb * plan.slots * W;
      product(o, t1 - t0, plan.by_x, bias);
    } else {
      for (int64_t t = t0; t < t1; t++) {
        o.a = x_at(plan, t) + place * W;
        if (plan.x_half) o.half = plan.x_half + t * plan.Db * block + place * W;
        o.c = z_at(plan, t, u) + place * W;
        product(o, running(plan, t, range), plan.by_x, bias);
      }
    }
  }
}

// Operands of a product with what all units hold at a step.
static Operands of_units(const Plan& plan) {
  Operands o{};
  o.offsets = plan.offset_h, o.blocks = plan.Hb, o.whole = plan.H / W, o.tail = plan.H % W;
  o.a_row = o.c_row = W, o.panel_stride = plan.Hb * W * W, o.c_panel = plan.B * W;
  return o;
}

// Adds U s<t-1> to what a block of units holds of the input.
static void state_product(const Plan& plan, int range, int64_t t, int64_t u) {
  const int64_t place = plan.range[range], rows = running(plan, t, range), block = plan.B * W, by_h = plan.by_h, nh = plan.slots - by_h;
  const int64_t summed = plan.by_x - by_h;  // slots that already hold the input's part
  Operands o = of_units(plan);
  o.a = s_at(plan, plan.cell->cell.fed_back, t, 0) + place * W;
  if (plan.s_half) o.half = plan.s_half + (t % 2) * plan.Hb * block + place * W;
  o.panels = plan.U + u * nh * plan.Hb * W * W;
  o.c = z_at(plan, t, u) + place * W + by_h * block;
  product(o, rows, summed, nullptr);
  o.panels += summed * o.panel_stride;
  o.c += summed * block;
  product(o, rows, nh - summed, plan.b + (u * plan.slots + by_h + summed) * W);
}

// What a block of units' elementwise part reads and writes at a step.
struct Step {
  float* z;
  const float* s[UNSPOOL_MAX_STATES];
  float *n[UNSPOOL_MAX_STATES], *carry[UNSPOOL_MAX_STATES];
};

static Step step_at(const Plan& plan, int range, int64_t t, int64_t u) {
  const int64_t place = plan.range[range] * W;
  Step step;
  step.z = z_at(plan, t, u) + place;
  for (int k = 0; k < plan.cell->cell.states; k++) {
    step.s[k] = s_at(plan, k, t, u) + place, step.n[k] = s_at(plan, k, t + 1, u) + place;
    step.carry[k] = plan.carry[k] ? plan.carry[k] + u * plan.B * W + place : nullptr;
  }
  return step;
}

// The first products of a step, and what its second one is taken of.
static void inner_step(const Plan& plan, int range, int64_t t, int64_t u0, int64_t u1) {
  const int64_t place = plan.range[range], rows = running(plan, t, range), block = plan.B * W;
  if (!rows) return;
  for (int64_t u = u0; u < u1; u++) {
    const Step step = step_at(plan, range, t, u);
    float* v = v_at(plan, t, u) + place * W;
    if (plan.small) plan.small_products(plan, step.z, u, false);
    else state_product(plan, range, t, u);
    plan.cell->inner(rows, step.z, block, step.s, plan.p + u * W, plan.Hb * W, v);
    clear_tail(plan, u, v, rows);
    if (plan.v_half) to_halves(v, plan.v_half + u * block + place * W, rows);
  }
}

// Adds U v to the nested slots.
static void product_within(const Plan& plan, int range, int64_t t, int64_t u) {
  const int64_t place = plan.range[range] * W;
  Operands o = of_units(plan);
  o.a = v_at(plan, t, 0) + place, o.c = z_at(plan, t, u) + place, o.panels = plan.V + u * plan.nested * o.panel_stride;
  if (plan.v_half) o.half = plan.v_half + place;
  product(o, running(plan, t, range), plan.nested, nullptr);
}

static void forward_step(const Plan& plan, int range, int64_t t, int64_t u0, int64_t u1) {
  const unspool_problem& q = *plan.problem;
  const unspool_cell& cell = plan.cell->cell;
  const int64_t place = plan.range[range], rows = running(plan, t, range), block = plan.B * W;
  if (!rows) return;
  for (int64_t u = u0; u < u1; u++) {
    const Step step = step_at(plan, range, t, u);
    if (plan.small) plan.small_products(plan, step.z, u, plan.nested > 0);
    else if (plan.nested) product_within(plan, range, t, u);
    else state_product(plan, range, t, u);
    for (int g = 0; g < cell.gates; g++)
      if (q.gates[g])
        for (int64_t r = 0; r < rows; r++) {
          alignas(64) float whole[W] = {};
          for (int slot = 0; slot < plan.slots; slot++)
            if (plan.cell->gate_of[slot] == g)
              for (int i = 0; i < W; i++) whole[i] += step.z[slot * block + r * W + i];
          rows_out(plan, q.gates[g], whole, place + r, 1, t, u);
        }
    plan.cell->forward(rows, step.z, block, step.s, step.n, plan.p + u * W, plan.Hb * W, t >= plan.kept_from);
    for (int k = 0; k < cell.states; k++) {
      clear_tail(plan, u, step.n[k], rows);
      if (plan.s_half && k == cell.fed_back) to_halves(step.n[k], plan.s_half + ((t + 1) % 2 * plan.Hb + u) * block + place * W, rows);
      if (q.states[k]) rows_out(plan, q.states[k], step.n[k], place, rows, t, u);
    }
    if (q.y) rows_out(plan, q.y, step.n[0], place, rows, t, u);
  }
}

static bool is_joined(const Plan& plan) { return plan.slots > plan.by_h || plan.nested; }  // units read each other

// One step at t (0 or 1, in turn) for a stream: a thread's share of the units. With nested slots in two parts, up to v and the rest.
static void stream_step(const Plan& plan, int64_t t, int thread, int threads, bool first) {
  int64_t u0, u1;
  share(plan.Hb, thread, threads, u0, u1);
  if (!plan.small && (first || !plan.nested)) input_product(plan, 0, t, t + 1, u0, u1);
  if (first) inner_step(plan, 0, t, u0, u1);
  else forward_step(plan, 0, t, u0, u1);
}

// Packs the input of steps [t0, t1) where it is not held.
static void input_chunk(const Plan& plan, int thread, int range, int64_t t0, int64_t t1) {
  if (plan.problem->save != 2) return;
  if (!plan.by_units) return pack_input(plan, t0, t1, range, range + 1);
  int64_t from, to;
  wait(plan);  // others may still read what was there
  share(t1 - t0, thread, plan.threads, from, to);
  pack_input(plan, t0 + from, t0 + to, range, range + 1);
  wait(plan);
}

// The gates of steps [t0, t1) once more, from the states: one product over all of them.
static void gates_again(const Plan& plan, int thread, int range, int64_t t0, int64_t t1, int64_t u0, int64_t u1) {
  const unspool_cell& cell = plan.cell->cell;
  const int64_t block = plan.B * W;
  input_chunk(plan, thread, range, t0, t1);
  if (t0 >= plan.kept_from) return;
  for (int64_t c0 = t0; c0 < t1; c0 += plan.chunk) {
    const int64_t c1 = c0 + plan.chunk < t1 ? c0 + plan.chunk : t1;
    input_product(plan, range, c0, c1, u0, u1);
    if (plan.nested) {
      for (int64_t u = u0; u < u1; u++)
        for (int64_t t = c0; t < c1; t++) inner_step(plan, range, t, u, u + 1);
      if (plan.by_units) wait(plan);
    }
    for (int64_t u = u0; u < u1; u++)
      for (int64_t t = c0; t < c1; t++) {
        const int64_t rows = running(plan, t, range);
        if (!rows) continue;
        Step step = step_at(plan, range, t, u);
        for (int k = 0; k < cell.states; k++) step.n[k] = plan.scratch + thread * plan.scratch_size + k * block;  // the new states are known
        if (plan.nested) product_within(plan, range, t, u);
        else state_product(plan, range, t, u);
        plan.cell->forward(rows, step.z, block, step.s, step.n, plan.p + u * W, plan.Hb * W, true);
      }
  }
  if (plan.nested && plan.by_units) wait(plan);  // v is written once more on the way back
}

static void forward(const Plan& plan, int thread) {
  const unspool_problem& q = *plan.problem;
  const int states = plan.cell->cell.states;
  if (!q.packed) pack_weights(plan, thread);
  int64_t from, to, u0 = 0, u1 = plan.Hb;
  if (q.save != 2) {
    share(plan.T, thread, plan.threads, from, to);
    pack_input(plan, from, to, 0, plan.ranges);
  }
  share(plan.B, thread, plan.threads, from, to);
  for (int k = 0; k < states; k++) state_in(plan, q.state[k], plan.s[k], from, to);
  if (plan.s_half)
    for (int64_t u = 0; u < plan.Hb; u++) {
      const int64_t at = (u * plan.B + from) * W;
      to_halves(plan.s[plan.cell->cell.fed_back] + at, plan.s_half + at, to - from);
    }
  wait(plan);
  if (plan.by_units) share(plan.Hb, thread, plan.threads, u0, u1);
  const bool joined = plan.by_units && is_joined(plan);
  for (int range = plan.by_units ? 0 : thread; range < plan.ranges; range += plan.by_units ? 1 : plan.threads) {
    for (int64_t t0 = 0; t0 < plan.T; t0 += plan.chunk) {
      const int64_t t1 = t0 + plan.chunk < plan.T ? t0 + plan.chunk : plan.T;
      input_chunk(plan, thread, range, t0, t1);
      input_product(plan, range, t0, t1, u0, u1);
      for (int64_t t = t0; t < t1; t++) {
        if (plan.nested) {
          inner_step(plan, range, t, u0, u1);
          if (plan.by_units) wait(plan);
        }
        forward_step(plan, range, t, u0, u1);
        if (joined) wait(plan);
      }
    }
    if (plan.by_units && !joined) wait(plan);
    if (plan.by_units) share(plan.B, thread, plan.threads, from, to);
    else from = plan.range[range], to = plan.range[range + 1];
    for (int64_t place = from; place < to; place++) {
      const int64_t length = plan.length_of ? plan.length_of[place] : plan.T;
      for (int k = 0; k < states; k++) state_out(plan, s_at(plan, k, length, 0), q.last[k], place);
      float* y = q.y + (plan.row_of[place] * plan.T + length) * plan.H;
      for (int64_t i = 0; i < (plan.T - length) * plan.H; i++) y[i] = 0;
    }
  }
}

static void pack_transposed(const Plan& plan, int thread) {
  const unspool_problem& q = *plan.problem;
  auto panel = [&](float* to, const float* M, int64_t columns, int64_t k, int64_t u) {  // to[i][j] = M[u * 16 + i][k * 16 + j]
    for (int64_t i = 0; i < W; i++)
      if (u * W + i < plan.H) copy_in(to + i * W, M + (u * W + i) * columns + k * W, columns - k * W);
      else for (int j = 0; j < W; j++) to[i * W + j] = 0;
  };
  int64_t from, to, nh = plan.slots - plan.by_h;
  share(plan.Hb, thread, plan.threads, from, to);
  pack_parameters(plan, from, to);
  for (int64_t k = from; k < to; k++) {
    for (int64_t u = 0; u < plan.Hb; u++)
      for (int64_t s = 0; s < nh; s++)
        panel(plan.Ut + ((k * plan.Hb + u) * nh + s) * W * W, q.U + plan.cell->product_of[plan.by_h + s] * plan.H * plan.H, plan.H, k, u);
    if (q.bf16) halved(plan.Ut + k * plan.Hb * nh * W * W, plan.Hb * nh * W);
    for (int64_t u = 0; u < plan.Hb; u++)
      for (int64_t s = 0; s < plan.nested; s++)
        panel(plan.Vt + ((k * plan.Hb + u) * plan.nested + s) * W * W, q.U + plan.cell->product_of[s] * plan.H * plan.H, plan.H, k, u);
    if (q.bf16) halved(plan.Vt + k * plan.Hb * plan.nested * W * W, plan.Hb * plan.nested * W);
  }
  if (!q.dx) return;
  share(plan.Db, thread, plan.threads, from, to);
  for (int64_t k = from; k < to; k++) {
    for (int64_t u = 0; u < plan.Hb; u++)
      for (int64_t s = 0; s < plan.by_x; s++)
        panel(plan.Wt + ((k * plan.Hb + u) * plan.by_x + s) * W * W, q.W + plan.cell->gate_of[s] * plan.H * plan.D, plan.D, k, u);
    if (q.bf16) halved(plan.Wt + k * plan.Hb * plan.by_x * W * W, plan.Hb * plan.by_x * W);
  }
}

// What the gates of step t pass to a few blocks of units: through U to the fed-back state before, or to v within. Adds to c.
static void back_product(const Plan& plan, bool within, int range, int64_t t, int64_t u, int64_t blocks, float* c, int64_t c_panel) {
  const int64_t first = within ? 0 : plan.by_h, slots = within ? plan.nested : plan.slots - plan.by_h;
  const int64_t at = first * plan.B * W + plan.range[range] * W;
  Operands o{};
  o.a = z_at(plan, t, 0) + at;
  if (plan.dz_half) o.half = plan.dz_half + t % plan.dz_ring * plan.Hb * plan.slots * plan.B * W + at;
  o.offsets = within ? plan.offset_dv : plan.offset_dh, o.blocks = plan.Hb * slots, o.whole = plan.H / W * slots, o.tail = plan.H % W;
  o.a_row = o.c_row = W, o.panel_stride = o.blocks * W * W, o.panels = (within ? plan.Vt : plan.Ut) + u * o.panel_stride, o.c = c, o.c_panel = c_panel;
  product(o, running(plan, t, range), blocks, nullptr);
}

// Lays the gradients of some slots of a block of units by for the products.
static void lay_by(const Plan& plan, int64_t t, int64_t u, int64_t place, int64_t rows, int64_t slot, int64_t end, float* z) {
  const int64_t block = plan.B * W;
  for (; slot < end; slot++) {
    clear_tail(plan, u, z + slot * block, rows);
    if (plan.dz_half) to_halves(z + slot * block, plan.dz_half + ((t % plan.dz_ring * plan.Hb + u) * plan.slots + slot) * block + place * W, rows);
  }
}

// `end` is where a run of steps ends: what reaches its last step from later ones is in `carry`.
static void backward_step(const Plan& plan, int thread, int range, int64_t t, int64_t end, int64_t u0, int64_t u1) {
  const unspool_problem& q = *plan.problem;
  const unspool_cell& cell = plan.cell->cell;
  const int64_t place = plan.range[range], rows = running(plan, t, range), later = t + 1 < end ? running(plan, t + 1, range) : 0, block = plan.B * W;
  if (!rows) return;
  float* const scratch = plan.scratch + thread * plan.scratch_size;
  const int64_t group = rows <= 3 ? MOST_PANELS : WIDE, panel = rows * W;
  float* const into = cell.fed_back == 0 ? scratch : scratch + MOST_PANELS * block;  // d y and d fed-back share where they are one state
  for (int64_t u = u0; u < u1; u += group) {
    const int64_t blocks = u1 - u < group ? u1 - u : group;
    for (int64_t i = 0; i < blocks; i++) {
      for (int64_t r = 0; r < rows; r++) {
        float* to = scratch + i * panel + r * W;
        if (q.dy) copy_in(to, q.dy + plan.row_of[place + r] * q.dy_batch + time_of(plan, place + r, t) * q.dy_step + (u + i) * W, plan.H - (u + i) * W);
        else for (int j = 0; j < W; j++) to[j] = 0;
      }
      if (into != scratch)
        for (int64_t j = 0; j < panel; j++) into[i * panel + j] = 0;
    }
    if (later) back_product(plan, false, range, t + 1, u, blocks, into, panel);
    for (int64_t i = 0; i < blocks; i++) {
      const Step step = step_at(plan, range, t, u + i);
      const int64_t sums = plan.by_units ? 0 : thread;
      float* v = plan.nested ? v_at(plan, t, u + i) + place * W : nullptr;
      plan.cell->backward(rows, step.z, block, step.s, step.n, plan.p + (u + i) * W, plan.Hb * W, scratch + i * panel, into + i * panel, step.carry,
                          plan.db + (sums * plan.Hb + u + i) * plan.slots * W,
                          plan.dp + (sums * cell.parameters * plan.Hb + u + i) * W, plan.Hb * W, v, plan.held + ((u + i) * plan.B + place) * W,
                          plan.Hb * block);
      if (v) clear_tail(plan, u + i, v, rows);
      lay_by(plan, t, u + i, place, rows, 0, plan.nested ? plan.nested : plan.slots, step.z);  // the others are not done yet
      for (int k = 0; k < cell.states; k++) clear_tail(plan, u + i, step.carry[k], rows);
    }
  }
}

// The rest of a step: what comes through its second product.
static void inner_backward_step(const Plan& plan, int thread, int range, int64_t t, int64_t u0, int64_t u1) {
  const unspool_cell& cell = plan.cell->cell;
  const int64_t place = plan.range[range], rows = running(plan, t, range), block = plan.B * W;
  if (!rows) return;
  float* const dv = plan.scratch + thread * plan.scratch_size;
  const int64_t group = rows <= 3 ? MOST_PANELS : WIDE, panel = rows * W;
  for (int64_t u = u0; u < u1; u += group) {
    const int64_t blocks = u1 - u < group ? u1 - u : group;
    for (int64_t j = 0; j < blocks * panel; j++) dv[j] = 0;
    back_product(plan, true, range, t, u, blocks, dv, panel);
    for (int64_t i = 0; i < blocks; i++) {
      const Step step = step_at(plan, range, t, u + i);
      const int64_t sums = plan.by_units ? 0 : thread;
      plan.cell->inner_backward(rows, step.z, block, step.s, step.n, plan.p + (u + i) * W, plan.Hb * W, dv + i * panel, step.carry,
                                plan.db + (sums * plan.Hb + u + i) * plan.slots * W,
                                plan.dp + (sums * cell.parameters * plan.Hb + u + i) * W, plan.Hb * W, plan.held + ((u + i) * plan.B + place) * W,
                                plan.Hb * block);
      lay_by(plan, t, u + i, place, rows, plan.nested, plan.slots, step.z);
      for (int k = 0; k < cell.states; k++) clear_tail(plan, u + i, step.carry[k], rows);
    }
  }
}

// The gradient of one kind of weights: of slots [slot0, slot1), against blocks of b.
struct Gradient {
  const float* b;
  int64_t b_step, blocks, slot0, slot1;
  float* to;
};

// The gradients of weights, over all rows of steps [t0, t1), which kinds and z begin with; a run of rows serves each while it is near.
static void weight_gradients(const Plan& plan, int thread, const Gradient (&kinds)[3], int64_t t0, int64_t t1) {
  const int64_t block = plan.B * W, z_step = plan.Hb * plan.slots * block;
  const bool steps_are_rows = plan.B == 1 && !plan.count;
  Rows rows[LONGEST];
  bool first = t1 == plan.T;
  int64_t t = t0, at = 0;  // how far: step, and row within the step's first range
  int range = 0;
  for (bool more = true; more; first = false) {
    int64_t n = 0, deep = 0;
    if (steps_are_rows) {
      const int64_t now = t1 - t0 - at < LONGEST ? t1 - t0 - at : LONGEST;
      rows[n++] = Rows{0, at, now};  // a run of steps, each of one row
      at += now;
      more = at < t1 - t0;
    } else {
      while (t < t1 && deep < LONGEST) {
        const int64_t here = running(plan, t, range) - at, now = here < LONGEST - deep ? here : LONGEST - deep;
        if (now > 0) {
          const int64_t row = plan.range[range] + at;
          if (n && rows[n - 1].step == t - t0 && rows[n - 1].row + rows[n - 1].count == row) rows[n - 1].count += now;
          else rows[n++] = Rows{t - t0, row, now};
          deep += now, at += now;
        }
        if (now >= here) {
          at = 0;
          if (++range == plan.ranges) range = 0, t++;
        }
      }
      more = t < t1;
    }
    for (const Gradient& k : kinds) {
      const Sums sums{z_at(plan, t0, 0), k.b, z_step, k.b_step, steps_are_rows ? z_step : W, steps_are_rows ? k.b_step : W};
      const int64_t slots = k.slot1 - k.slot0;
      int64_t from, end;
      share(plan.Hb * slots, thread, plan.threads, from, end);
      if (from == end) continue;
      for (int64_t g = 0; g < k.blocks; g += GROUP) {
        const int64_t g1 = g + GROUP < k.blocks ? g + GROUP : k.blocks;
        float *const a_pairs = plan.pairs + thread * (GROUP + 1) * LONGEST * W, *const b_pairs = a_pairs + LONGEST * W;
        if (plan.pairs)
          for (int64_t b = g; b < g1; b++) paired(sums.b + b * block, sums.b_step, sums.b_row, rows, rows + n, b_pairs + (b - g) * LONGEST * W);
        for (int64_t a = from; a < end; a++) {
          const int64_t u = a / slots, slot = k.slot0 + a % slots;
          if (plan.pairs) {
            const int64_t pairs = paired(sums.a + (u * plan.slots + slot) * block, sums.a_step, sums.a_row, rows, rows + n, a_pairs);
            outer_paired(a_pairs, plan.H - u * W, b_pairs, g1 - g, pairs, k.to + (a * k.blocks + g) * W * W, first);
            continue;
          }
          outer(sums, (u * plan.slots + slot) * block, plan.H - u * W, block, g, g1, rows, rows + n, k.to + a * k.blocks * W * W, first);
        }
      }
    }
  }
}

static void gradient_out(const Plan& plan, int thread, const float* from, float* to, int64_t columns, int64_t slot0, int64_t slot1, const int* which) {
  const int64_t slots = slot1 - slot0, blocks = (columns + W - 1) / W;
  int64_t a, end;
  for (share(plan.Hb * slots, thread, plan.threads, a, end); a < end; a++) {
    const int64_t u = a / slots, gate = which[slot0 + a % slots];
    for (int64_t i = 0; i < W && u * W + i < plan.H; i++)
      for (int64_t k = 0; k < blocks; k++)
        copy_out(to + (gate * plan.H + u * W + i) * columns + k * W, from + ((a * blocks + k) * W + i) * W, columns - k * W);
  }
}

static void input_gradient(const Plan& plan, int thread, int64_t first, int64_t last) {
  const unspool_problem& q = *plan.problem;
  const int64_t block = plan.B * W;
  float* const c = plan.scratch + thread * plan.scratch_size;
  int64_t from, to;
  share(last - first, thread, plan.threads, from, to);
  from += first, to += first;
  for (int64_t t0 = from; t0 < to; t0 += plan.chunk)
    for (int64_t d = 0; d < plan.Db; d += MOST_PANELS) {
      const int64_t panels = plan.Db - d < MOST_PANELS ? plan.Db - d : MOST_PANELS;
      alignas(64) static const float zeros[MOST_PANELS * W] = {};
      for (int64_t t = t0; t < to && t < t0 + plan.chunk; t++)
        for (int range = 0; range < plan.ranges; range++) {
          const int64_t place = plan.range[range], rows = running(plan, t, range);
          Operands o{};
          if (plan.dz_half) o.half = plan.dz_half + t * plan.Hb * plan.slots * block + place * W;
          o.a = z_at(plan, t, 0) + place * W, o.offsets = plan.offset_dx, o.blocks = plan.Hb * plan.by_x, o.whole = plan.H / W * plan.by_x, o.tail = plan.H % W, o.a_row = o.c_row = W;
          o.panel_stride = o.blocks * W * W, o.panels = plan.Wt + d * o.panel_stride, o.c = c, o.c_panel = block;
          product(o, rows, panels, zeros);
          for (int64_t p = 0; p < panels; p++)
            for (int64_t r = 0; r < rows; r++)
              copy_out(q.dx + (plan.row_of[place + r] * plan.T + time_of(plan, place + r, t)) * plan.D + (d + p) * W, c + p * block + r * W, plan.D - (d + p) * W);
        }
    }
  if (!plan.length_of || first) return;
  for (share(plan.B, thread, plan.threads, from, to); from < to; from++) {
    float* rest = q.dx + (plan.row_of[from] * plan.T + plan.length_of[from]) * plan.D;
    for (int64_t i = 0; i < (plan.T - plan.length_of[from]) * plan.D; i++) rest[i] = 0;
  }
}

// Sums the threads' shares of the gradients of biases and elementwise weights.
static void small_gradients(const Plan& plan) {
  const unspool_problem& q = *plan.problem;
  const CellOps& cell = *plan.cell;
  const int parts = plan.by_units ? 1 : plan.threads, parameters = cell.cell.parameters;
  for (int64_t i = 0; i < plan.H; i++) {
    for (int64_t slot = 0; slot < plan.slots; slot++) {
      float sum = 0;
      for (int part = 0; part < parts; part++) sum += plan.db[((part * plan.Hb + i / W) * plan.slots + slot) * W + i % W];
      if (slot < plan.by_x) q.db[cell.gate_of[slot] * plan.H + i] = sum;
      else if (cell.bias_of[slot] >= 0) q.db_h[cell.bias_of[slot] * plan.H + i] = sum;
    }
    for (int k = 0; k < parameters; k++) {
      float sum = 0;
      for (int part = 0; part < parts; part++) sum += plan.dp[((part * parameters + k) * plan.Hb + i / W) * W + i % W];
      q.dp[k * plan.H + i] = sum;
    }
  }
}

static void backward(const Plan& plan, int thread) {
  const unspool_problem& q = *plan.problem;
  const unspool_cell& cell = plan.cell->cell;
  const int64_t block = plan.B * W;
  pack_transposed(plan, thread);
  if (q.save == 2) pack_weights(plan, thread);
  int64_t from, to, u0 = 0, u1 = plan.Hb;
  share(plan.B, thread, plan.threads, from, to);
  for (int k = 0; k < cell.states; k++) state_in(plan, q.d_last[k], plan.carry[k], from, to);
  if (thread == 0 || !plan.by_units) {
    float *db = plan.db + thread * plan.Hb * plan.slots * W, *dp = plan.dp + thread * cell.parameters * plan.Hb * W;
    for (int64_t i = 0; i < plan.Hb * plan.slots * W; i++) db[i] = 0;
    for (int64_t i = 0; i < cell.parameters * plan.Hb * W; i++) dp[i] = 0;
  }
  wait(plan);
  if (plan.by_units) share(plan.Hb, thread, plan.threads, u0, u1);
  const bool joined = plan.by_units && is_joined(plan);
  for (int64_t t1 = plan.T, t0; t1 > 0; t1 = t0) {
    t0 = (t1 - 1) / plan.again * plan.again;
    for (int range = plan.by_units ? 0 : thread; range < plan.ranges; range += plan.by_units ? 1 : plan.threads) {
      if (q.save == 2) gates_again(plan, thread, range, t0, t1, u0, u1);
      for (int64_t t = t1 - 1; t >= t0; t--) {
        backward_step(plan, thread, range, t, t1, u0, u1);
        if (plan.nested) {
          if (plan.by_units) wait(plan);
          inner_backward_step(plan, thread, range, t, u0, u1);
        }
        if (joined) wait(plan);
      }
      float* fed = plan.carry[cell.fed_back] + plan.range[range] * W;
      back_product(plan, false, range, t0, u0, u1 - u0, fed + u0 * block, block);
    }
    wait(plan);
    const Gradient kinds[] = {{x_at(plan, t0), plan.Db * block, plan.Db, 0, plan.by_x, plan.dW},
                              {s_at(plan, cell.fed_back, t0, 0), plan.Hb * block, plan.Hb, plan.by_h, plan.slots, plan.dU},
                              {plan.v, plan.Hb * block, plan.Hb, 0, plan.nested, plan.dV}};
    weight_gradients(plan, thread, kinds, t0, t1);
    if (q.dx) input_gradient(plan, thread, t0, t1);
    if (t0) wait(plan);
  }
  share(plan.B, thread, plan.threads, from, to);
  for (int k = 0; k < cell.states; k++)
    if (q.d_state[k])
      for (int64_t place = from; place < to; place++) state_out(plan, plan.carry[k], q.d_state[k], place);
  gradient_out(plan, thread, plan.dW, q.dW, plan.D, 0, plan.by_x, plan.cell->gate_of);
  gradient_out(plan, thread, plan.dU, q.dU, plan.H, plan.by_h, plan.slots, plan.cell->product_of);
  gradient_out(plan, thread, plan.dV, q.dU, plan.H, 0, plan.nested, plan.cell->product_of);
  if (thread == 0) small_gradients(plan);
}
