// A cell's elementwise loops, from the struct that unspool.equations.emit_cpp writes: for the cells of the library, and, compiled on
// first use (own.cpp), for a user's own.

template <class C>
static void forward_rows(int64_t rows, float* z, int64_t z_slot, const float* const* s, float* const* n, const float* p, int64_t p_next, bool keep) {
  for (int v = 0; v < W; v += LANES) {
    V zs[C::slots], ss[C::states], ps[C::parameters + 1], ns[C::states], ks[C::kept + 1];
    for (int i = 0; i < C::parameters; i++) ps[i] = load(p + i * p_next + v);
    for (int64_t at = v; at < rows * W; at += W) {
      for (int i = 0; i < C::slots; i++) zs[i] = load(z + i * z_slot + at);
      for (int i = 0; i < C::states; i++) ss[i] = load(s[i] + at);
      C::forward(zs, ss, ps, ns, ks);
      for (int i = 0; i < C::states; i++) store(n[i] + at, ns[i]);
      if (keep)
        for (int i = 0; i < C::kept; i++) store(z + i * z_slot + at, ks[i]);
    }
  }
}

// What the second product of a step is taken of.
template <class C>
static void inner_rows(int64_t rows, const float* z, int64_t z_slot, const float* const* s, const float* p, int64_t p_next, float* v_to) {
  for (int v = 0; v < W; v += LANES) {
    V zs[C::slots], ss[C::states], ps[C::parameters + 1], inner;
    for (int i = 0; i < C::parameters; i++) ps[i] = load(p + i * p_next + v);
    for (int64_t at = v; at < rows * W; at += W) {
      for (int i = C::nested; i < C::slots; i++) zs[i] = load(z + i * z_slot + at);
      for (int i = 0; i < C::states; i++) ss[i] = load(s[i] + at);
      C::inner(zs, ss, ps, inner);
      store(v_to + at, inner);
    }
  }
}

template <class C>
static void backward_rows(int64_t rows, float* z, int64_t z_slot, const float* const* s, const float* const* n, const float* p, int64_t p_next,
                          const float* dy, const float* dh, float* const* carry, float* db, float* dp, int64_t dp_next, float* v_to, float* held,
                          int64_t held_next) {
  for (int v = 0; v < W; v += LANES) {
    V inner, hs[C::held + 1], ks[C::kept + 1], ss[C::states], ns[C::states], ps[C::parameters + 1], ds[C::states], dzs[C::slots], dss[C::states], dps[C::parameters + 1];
    V b[C::slots], w[C::parameters + 1];
    for (int i = 0; i < C::slots; i++) b[i] = V{};
    for (int i = 0; i < C::parameters; i++) ps[i] = load(p + i * p_next + v), w[i] = V{};
    for (int64_t at = v; at < rows * W; at += W) {
      for (int i = 0; i < C::kept; i++) ks[i] = load(z + i * z_slot + at);
      for (int i = 0; i < C::states; i++) ss[i] = load(s[i] + at), ns[i] = load(n[i] + at), ds[i] = load(carry[i] + at);
      ds[0] += load(dy + at);
      if (C::fed_back != 0) ds[C::fed_back] += load(dh + at);
      C::backward(ks, ss, ns, ps, ds, dzs, dss, dps, inner, hs);
      for (int i = 0; i < C::slots; i++) store(z + i * z_slot + at, dzs[i]), b[i] += dzs[i];
      for (int i = 0; i < C::states; i++) store(carry[i] + at, dss[i]);
      for (int i = 0; i < C::parameters; i++) w[i] += dps[i];
      if constexpr (C::nested != 0) store(v_to + at, inner);
      for (int i = 0; i < C::held; i++) store(held + i * held_next + at, hs[i]);
    }
    for (int i = 0; i < C::slots; i++) store(db + i * W + v, load(db + i * W + v) + b[i]);
    for (int i = 0; i < C::parameters; i++) store(dp + i * dp_next + v, load(dp + i * dp_next + v) + w[i]);
  }
}

// Adds what comes through the second product.
template <class C>
static void inner_backward_rows(int64_t rows, float* z, int64_t z_slot, const float* const* s, const float* const* n, const float* p, int64_t p_next,
                                const float* dv, float* const* carry, float* db, float* dp, int64_t dp_next, const float* held, int64_t held_next) {
  for (int v = 0; v < W; v += LANES) {
    V dvs[1], hs[C::held + 1], ss[C::states], ns[C::states], ps[C::parameters + 1], dzs[C::slots], dss[C::states], dps[C::parameters + 1];
    V b[C::slots], w[C::parameters + 1];
    for (int i = C::nested; i < C::slots; i++) b[i] = V{};
    for (int i = 0; i < C::parameters; i++) ps[i] = load(p + i * p_next + v), w[i] = V{};
    for (int64_t at = v; at < rows * W; at += W) {
      for (int i = 0; i < C::held; i++) hs[i] = load(held + i * held_next + at);
      for (int i = 0; i < C::states; i++) ss[i] = load(s[i] + at), ns[i] = load(n[i] + at);
      dvs[0] = load(dv + at);
      C::inner_backward(hs, ss, ns, ps, dvs, dzs, dss, dps);
      for (int i = C::nested; i < C::slots; i++) store(z + i * z_slot + at, load(z + i * z_slot + at) + dzs[i]), b[i] += dzs[i];
      for (int i = 0; i < C::states; i++) store(carry[i] + at, load(carry[i] + at) + dss[i]);
      for (int i = 0; i < C::parameters; i++) w[i] += dps[i];
    }
    for (int i = C::nested; i < C::slots; i++) store(db + i * W + v, load(db + i * W + v) + b[i]);
    for (int i = 0; i < C::parameters; i++) store(dp + i * dp_next + v, load(dp + i * dp_next + v) + w[i]);
  }
}

template <class C>
static constexpr CellOps cell_ops() {
  static_assert(C::states <= UNSPOOL_MAX_STATES && C::slots <= UNSPOOL_MAX_SLOTS, "a cell too large for the library");
  CellOps ops{{C::name, C::states, C::fed_back, C::gates, C::slots, C::nested, C::by_x, C::by_h, C::biases, C::parameters},
              C::held, C::gate_of, C::product_of, C::bias_of, forward_rows<C>, backward_rows<C>, nullptr, nullptr};
  if constexpr (C::nested != 0) ops.inner = inner_rows<C>, ops.inner_backward = inner_backward_rows<C>;
  return ops;
}
