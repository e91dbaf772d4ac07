// SPDX-License-Identifier: MIT

// The memory that a process pool and its workers share for large messages.

#include <array>
#include <concurrent/futures/detail/process/message_areas.hpp>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using concurrent::detail::os::ProcessMark;
using concurrent::futures::detail::process::WorkerAreas;
using concurrent::multiprocessing::detail::AreaLease;
using concurrent::multiprocessing::detail::AreaMessage;
using concurrent::multiprocessing::detail::Arena;
using concurrent::multiprocessing::detail::BufferSource;
using concurrent::multiprocessing::detail::ByteBuffer;

namespace {

/// Of this process, shared with others, in memory now; in bytes.
std::size_t shared_memory_in_use() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "RssShmem:") continue;
    std::size_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
  return 0;
}

constexpr std::size_t mib = std::size_t{1} << 20U;
constexpr std::size_t most = 4096 * mib;

}  // namespace

TEST_CASE("what an arena has given never overlaps, and keeps what was written") {
  Arena arena(most);
  std::map<std::byte*, std::pair<BufferSource::Block, unsigned char>> given;
  std::mt19937 random(7);
  std::size_t wrong = 0;
  const auto give_back_first = [&] {
    const auto [block, mark] = given.begin()->second;
    for (const std::size_t at : {std::size_t{0}, block.size / 2, block.size - 1}) {
      wrong += static_cast<unsigned char>(block.begin[at]) == mark ? 0U : 1U;
    }
    arena.give_back(block);
    given.erase(given.begin());
  };
  for (int i = 0; i < 3000; ++i) {
    const std::size_t wanted = std::size_t{1} << (random() % 22U);
    const std::size_t size = wanted + random() % wanted;
    const BufferSource::Block block = arena.take(size);
    REQUIRE(block.begin != nullptr);
    REQUIRE(block.size >= size);
    const auto after = given.upper_bound(block.begin);
    if (after != given.end()) REQUIRE(block.begin + block.size <= after->first);
    if (after != given.begin()) {
      const BufferSource::Block& before = std::prev(after)->second.first;
      REQUIRE(before.begin + before.size <= block.begin);
    }
    const auto mark = static_cast<unsigned char>(i);
    for (const std::size_t at : {std::size_t{0}, block.size / 2, block.size - 1}) {
      block.begin[at] = static_cast<std::byte>(mark);
    }
    given[block.begin] = {block, mark};
    while (given.size() > random() % 64U) give_back_first();
  }
  while (!given.empty()) give_back_first();
  CHECK(wrong == 0);
}

TEST_CASE("an arena gives the same memory again, and returns pages beyond a limit to the system") {
  Arena arena(most);
  const BufferSource::Block small = arena.take(mib);
  arena.give_back(small);
  CHECK(arena.take(mib).begin == small.begin);
  const std::size_t before = shared_memory_in_use();
  std::vector<BufferSource::Block> large;
  for (int i = 0; i < 6; ++i) {
    large.push_back(arena.take(64 * mib));
    std::memset(large.back().begin, 1, 64 * mib);
  }
  CHECK(shared_memory_in_use() >= before + 6 * 64 * mib);
  for (const BufferSource::Block& block : large) arena.give_back(block);
  CHECK(shared_memory_in_use() <= before + 256 * mib);
}

TEST_CASE("an arena of which nothing is given away can be divided anew") {
  Arena arena(256 * mib);
  for (std::size_t size = 3 * mib; size < 200 * mib; size += 7 * mib) {
    CAPTURE(size);
    const BufferSource::Block block = arena.take_zeroed(size);
    REQUIRE(block.begin != nullptr);
    CHECK(block.begin[0] == std::byte{0});
    CHECK(block.begin[size - 1] == std::byte{0});
    std::memset(block.begin, 1, size);
    arena.give_back(block);
  }
}

TEST_CASE("what is larger than an arena is refused") {
  Arena arena(most);
  CHECK(arena.take(std::size_t{1} << 47U).begin == nullptr);
  CHECK(arena.take(std::size_t{1} << 63U).begin == nullptr);
}

TEST_CASE("a part of an arena that lies outside of it is empty") {
  Arena arena(most);
  const BufferSource::Block block = arena.take(100'000);
  const std::span<const std::byte> bytes{block.begin, 100'000};
  const AreaMessage area = arena.message_of(bytes);
  CHECK(arena.bytes_of(area).data() == block.begin);
  CHECK(arena.bytes_of(area).size() == 100'000);
  CHECK(arena.bytes_of({~std::uint64_t{0}, 1}).empty());
  CHECK(arena.bytes_of({area.offset, ~std::uint64_t{0}}).empty());
}

TEST_CASE("a lease gives its part back once") {
  Arena arena(most);
  const std::byte* first = nullptr;
  {
    AreaLease lease(arena, mib);
    REQUIRE(lease);
    first = lease.bytes().data();
    AreaLease other = std::move(lease);
    lease = std::move(other);
    CHECK(lease.bytes().data() == first);
  }
  const AreaLease again(arena, mib);
  const AreaLease another(arena, mib);
  CHECK(again.bytes().data() == first);
  CHECK(another.bytes().data() != first);
}

TEST_CASE("a buffer grows from the heap into its source, and back when that has no more") {
  const ProcessMark here;
  WorkerAreas areas(nullptr, here);
  std::vector<std::byte> own(100'000);
  areas.grant(own);
  ByteBuffer buffer;
  buffer.draw_from(&areas);
  const std::vector<char> part(10'000, 'x');
  std::size_t lent = 0;
  for (int i = 0; i < 30; ++i) {
    buffer.append(part.data(), part.size());
    lent += buffer.lent() ? 1U : 0U;
  }
  CHECK(lent > 0);
  CHECK_FALSE(buffer.lent());
  REQUIRE(buffer.size() == 300'000);
  std::size_t wrong = 0;
  for (const std::byte byte : buffer.bytes()) wrong += byte == std::byte{'x'} ? 0U : 1U;
  CHECK(wrong == 0);
  CHECK(areas.take(100'000).begin == own.data());  // it has been given back
}

TEST_CASE("a buffer stays in the room that it began in as long as it fits") {
  alignas(ByteBuffer::alignment) std::array<std::byte, 64> room{};
  ByteBuffer buffer;
  buffer.begin_in(room);
  buffer.append("0123456789abcdef", 16);
  CHECK(buffer.data() == room.data());
  CHECK(buffer.capacity() == room.size());
  CHECK_FALSE(buffer.lent());

  SECTION("and is moved there") {
    const ByteBuffer moved = std::move(buffer);
    CHECK(moved.data() == room.data());
    CHECK(moved.size() == 16);
  }
  SECTION("and grows to the heap") {
    buffer.extend(room.size());
    REQUIRE(buffer.data() != room.data());
    CHECK(std::memcmp(buffer.data(), "0123456789abcdef", 16) == 0);
    buffer.extend(100'000);  // once more, within the heap
    CHECK(std::memcmp(buffer.data(), "0123456789abcdef", 16) == 0);
  }
  SECTION("and grows to its source") {
    Arena arena(most);
    buffer.draw_from(&arena);
    buffer.extend(100'000);
    CHECK(buffer.lent());
    CHECK(std::memcmp(buffer.data(), "0123456789abcdef", 16) == 0);
    buffer.clear();
    CHECK(buffer.empty());
  }
  SECTION("and leaves it when it is cleared") {
    buffer.clear();
    CHECK(buffer.capacity() == 0);
    buffer.append("x", 1);
    CHECK(buffer.data() != room.data());
  }
}

TEST_CASE("a worker writes a result over its request, or to its own part when that has been read") {
  const ProcessMark here;
  WorkerAreas areas(nullptr, here);
  std::vector<std::byte> own(200'000);
  std::vector<std::byte> request(100'000);
  areas.grant(own);
  areas.lend_request(request);
  CHECK(areas.take(50'000).begin == request.data());
  const BufferSource::Block mine = areas.take(50'000);
  CHECK(mine.begin == own.data());
  CHECK(areas.take(50'000).begin == nullptr);  // both are in use
  areas.sent(mine.begin, 50'000);
  CHECK(areas.waits_for_reader());
  CHECK(areas.take(50'000).begin == nullptr);
  areas.all_is_read();
  CHECK(areas.take(50'000).begin == own.data());
  areas.forget_request();
  CHECK(areas.take(50'000).begin == nullptr);
}
