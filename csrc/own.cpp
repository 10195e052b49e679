// A cell of the user's own, compiled on first use: UNSPOOL_CELL is the file that its struct `Cell` was written to.

#include <stdint.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "plan.h"

namespace own {

#include "vector.h"

#include "cell.h"

#include UNSPOOL_CELL

static constexpr CellOps ops = cell_ops<Cell>();

}  // namespace own

extern "C" __attribute__((visibility("default"))) const CellOps* unspool_own_cell(void) { return &own::ops; }
