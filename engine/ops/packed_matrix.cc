#include "engine/ops/packed_matrix.h"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kernels/packing.h"
#include "engine/status_macros.h"

namespace hearth::ops {
namespace {

using kernels::kTileRows;
using kernels::Tiles;

// Of a file, read at once by one thread: what a core's second-level cache holds beside the tiles.
constexpr size_t kPieceBytes = 256 << 10;

absl::Status CheckParts(absl::Span<const Tensor> parts) {
  if (parts.empty()) return absl::InvalidArgumentError("no tensor to pack");
  const DTypeTraits traits = Traits(parts[0].dtype);
  for (size_t i = 0; i < parts.size(); ++i) {
    const Tensor& part = parts[i];
    if (part.rank != 2 || part.rows() < 1 || part.cols() < 1 ||
        part.cols() % traits.block_elements != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("part ", i, ": rank ", part.rank, ", shape [", part.rows(), ",", part.cols(),
                       "], expected a matrix of whole blocks of ", traits.block_elements));
    }
    if (part.dtype != parts[0].dtype || part.cols() != parts[0].cols()) {
      return absl::InvalidArgumentError(
          absl::StrCat("part ", i, ": ", std::string(Traits(part.dtype).name), " with ",
                       part.cols(), " columns, expected ", std::string(traits.name), " with ",
                       parts[0].cols(), " as in part 0"));
    }
    const size_t row_bytes = RowBytes(part.dtype, part.cols());
    if (part.bytes / row_bytes < static_cast<size_t>(part.rows())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "part ", i, ": ", part.bytes, " bytes, expected ", part.rows(), " rows of ", row_bytes));
    }
  }
  return absl::OkStatus();
}

// The rows of all parts, one after the other.
class StackedRows {
 public:
  StackedRows(absl::Span<const Tensor> parts, ReadTensor read)
      : parts_(parts), read_(read), row_bytes_(RowBytes(parts[0].dtype, parts[0].cols())) {
    for (const Tensor& part : parts) rows_ += part.rows();
  }

  int64_t rows() const { return rows_; }
  size_t row_bytes() const { return row_bytes_; }

  absl::Status Read(int64_t begin, int64_t end, std::byte* to) const {
    while (begin < end) {
      const auto [part, index] = Locate(begin);
      const int64_t count = std::min(end - begin, parts_[part].rows() - index);
      HEARTH_RETURN_IF_ERROR(read_(parts_[part].data + index * row_bytes_, count * row_bytes_, to));
      to += count * row_bytes_;
      begin += count;
    }
    return absl::OkStatus();
  }

  absl::Status NotFinite(int64_t row) const {
    const auto [part, index] = Locate(row);
    return absl::DataLossError(absl::StrCat(
        "tensor ", parts_[part].name, ": row ", index, ": ",
        IsQuantized(parts_[part].dtype) ? "a scale" : "an element", " is NaN or infinite"));
  }

 private:
  // The part that holds a row, and which of its rows it is.
  std::pair<size_t, int64_t> Locate(int64_t row) const {
    size_t part = 0;
    while (row >= parts_[part].rows()) row -= parts_[part++].rows();
    return {part, row};
  }

  absl::Span<const Tensor> parts_;
  ReadTensor read_;
  size_t row_bytes_;
  int64_t rows_ = 0;
};

// The error of the first row that has one, whichever thread comes upon its own first.
class FirstError {
 public:
  void Add(int64_t row, absl::Status status) {
    const std::lock_guard lock(mutex_);
    if (!status_.ok() && row_ <= row) return;
    row_ = row;
    status_ = std::move(status);
  }
  absl::Status status() const { return status_; }

 private:
  std::mutex mutex_;
  int64_t row_ = 0;
  absl::Status status_;
};

// Tiles of rows [begin, end), which lie at `source`. REQUIRES: begin is a multiple of kTileRows.
void PackPiece(const StackedRows& rows, const PackedMatrix& matrix, int64_t begin, int64_t end,
               const std::byte* source, std::byte* tile, FirstError& error) {
  const size_t tile_bytes = kernels::TileBytes(kernels::PackingOf(matrix.dtype()), matrix.cols());
  for (int64_t first = begin; first < end; first += kTileRows, tile += tile_bytes) {
    std::array<const std::byte*, kTileRows> lanes = {};
    for (int64_t r = 0; r < std::min(kTileRows, end - first); ++r) {
      lanes[r] = source + (first - begin + r) * rows.row_bytes();
    }
    if (kernels::PackTile(matrix.dtype(), lanes.data(), matrix.cols(), tile)) continue;
    int64_t bad = 0;
    while (kernels::IsFiniteRow(matrix.dtype(), lanes[bad], matrix.cols())) ++bad;
    return error.Add(first + bad, rows.NotFinite(first + bad));
  }
}

}  // namespace

size_t PackedMatrix::PackedBytes(DType dtype, int64_t rows, int64_t cols) {
  return Tiles(rows) * kernels::TileBytes(kernels::PackingOf(dtype), cols);
}

absl::StatusOr<PackedMatrix> Pack(Workers& workers, absl::Span<const Tensor> parts, ReadTensor read,
                                  std::byte* memory) {
  HEARTH_RETURN_IF_ERROR(CheckParts(parts));
  const StackedRows rows(parts, read);
  const PackedMatrix matrix(parts[0].dtype, rows.rows(), parts[0].cols(), memory);
  const size_t tile_bytes = kernels::TileBytes(kernels::PackingOf(matrix.dtype()), matrix.cols());
  const auto piece_tiles =
      std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / (kTileRows * rows.row_bytes())));
  const int64_t piece_rows = std::min(piece_tiles * kTileRows, rows.rows());
  const size_t piece_bytes = piece_rows * rows.row_bytes();
  const auto pieces = std::make_unique_for_overwrite<std::byte[]>(workers.threads() * piece_bytes);
  FirstError error;
  const auto count = static_cast<int32_t>((rows.rows() + piece_rows - 1) / piece_rows);
  workers.ParallelFor(count, [&](int32_t index, int32_t thread) {
    const int64_t begin = index * piece_rows;
    const int64_t end = std::min(begin + piece_rows, rows.rows());
    std::byte* piece = &pieces[thread * piece_bytes];
    if (absl::Status status = rows.Read(begin, end, piece); !status.ok()) {
      return error.Add(begin, std::move(status));
    }
    PackPiece(rows, matrix, begin, end, piece, memory + begin / kTileRows * tile_bytes, error);
  });
  HEARTH_RETURN_IF_ERROR(error.status());
  return matrix;
}

}  // namespace hearth::ops
