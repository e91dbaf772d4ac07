// SPDX-License-Identifier: MIT

// The rings and the channel between a process pool and a worker, without a pool.

#include <concurrent/futures/detail/process/channel.hpp>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures::detail::process;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t header = sizeof(RingHeader);

/// A ring in memory of its own, with both ends.
struct Ring {
  explicit Ring(std::size_t capacity_)
      : capacity(capacity_),
        memory(new (std::align_val_t{64}) std::byte[capacity_]),
        writer(indexes, memory, capacity),
        reader(indexes, memory, capacity) {
    std::memset(memory, 0, capacity);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { ::operator delete[](memory, std::align_val_t{64}); }

  bool append(std::uint64_t tag, const std::string& text) {
    std::byte* const room = writer.reserve(text.size());
    if (room == nullptr) return false;
    std::memcpy(room, text.data(), text.size());
    writer.append(7, tag, text.size());
    return true;
  }
  bool write(std::uint64_t tag, const std::string& text) {
    return append(tag, text) && writer.publish();
  }

  std::size_t capacity;
  std::byte* memory;
  RingIndexes indexes;
  RingWriter writer;
  RingReader reader;
};

std::string text_of(const RingMessage& message) {
  return {static_cast<const char*>(static_cast<const void*>(message.payload.data())),
          message.payload.size()};
}

/// Text of any length that tells its number.
std::string numbered(std::uint64_t number, std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(number * 31 + i * 7);
  return text;
}

/// Both ends of a channel, in one process.
struct Channel {
  Channel() {
    concurrent::detail::os::SocketPair sockets = concurrent::detail::os::socket_pair(SOCK_STREAM);
    concurrent::detail::os::Descriptor memory =
        concurrent::detail::os::make_shared_memory(sizeof(SharedBlock));
    concurrent::detail::os::SharedMapping mapping(memory, sizeof(SharedBlock));
    workers_mapping = concurrent::detail::os::SharedMapping(memory, sizeof(SharedBlock));
    ::new (mapping.begin()) SharedBlock;
    concurrent::detail::os::Bell bell = concurrent::detail::os::make_bell();
    inherited_rope = concurrent::detail::os::Descriptor::open("cannot duplicate a rope", [&bell] {
      return ::fcntl(bell.rope.end().number(), F_DUPFD_CLOEXEC, 3);
    });
    pool = PoolChannel(std::move(sockets.first), std::move(bell.rope), std::move(mapping));
    worker = std::make_unique<WorkerChannel>(std::move(sockets.second), std::move(bell.heard),
                                             block(), nullptr, 200);
  }
  SharedBlock& block() const { return SharedBlock::of(workers_mapping); }

  concurrent::detail::os::SharedMapping workers_mapping;
  concurrent::detail::os::Descriptor inherited_rope;  // as a child that the program forks has it
  PoolChannel pool;
  std::unique_ptr<WorkerChannel> worker;
};

ByteBuffer request_of(const std::string& text) {
  ByteBuffer buffer;
  begin_frame(buffer);
  buffer.append(text.data(), text.size());
  return buffer;
}

std::string text_of(std::span<const std::byte> payload) {
  return {static_cast<const char*>(static_cast<const void*>(payload.data())), payload.size()};
}

}  // namespace

TEST_CASE("messages that are published together come together, and none before") {
  Ring ring(256);
  RingMessage message;
  CHECK(ring.append(1, "one"));
  CHECK(ring.append(2, "two"));
  CHECK_FALSE(ring.reader.has_more());
  CHECK(ring.reader.next(message) == RingReader::Result::empty);
  CHECK_FALSE(ring.writer.all_consumed());
  CHECK(ring.writer.publish());
  CHECK_FALSE(ring.writer.publish());
  REQUIRE(ring.reader.next(message) == RingReader::Result::message);
  CHECK(text_of(message) == "one");
  REQUIRE(ring.reader.next(message) == RingReader::Result::message);
  CHECK(text_of(message) == "two");
  CHECK(ring.reader.next(message) == RingReader::Result::empty);
  ring.reader.give_back();
  CHECK(ring.writer.all_consumed());
}

TEST_CASE("messages of all sizes come out of a ring in order, however they wrap around") {
  for (const std::size_t capacity : {64U, 128U, 1024U}) {
    Ring ring(capacity);
    std::mt19937 random(static_cast<unsigned>(capacity));
    std::deque<std::pair<std::uint64_t, std::string>> inside;
    std::uint64_t next = 0;
    std::size_t wrong = 0;
    for (int round = 0; round < 20000; ++round) {
      const std::size_t size = random() % (ring::largest_payload(capacity) + 1);
      if (random() % 2 == 0) {
        const std::string text = numbered(next, size);
        if (ring.write(next, text)) inside.emplace_back(next++, text);
        continue;
      }
      RingMessage message;
      const auto result = ring.reader.next(message);
      if (inside.empty()) {
        wrong += result != RingReader::Result::empty;
        continue;
      }
      wrong += result != RingReader::Result::message || message.kind != 7 ||
               message.tag != inside.front().first || text_of(message) != inside.front().second;
      inside.pop_front();
      ring.reader.give_back();
    }
    CHECK(wrong == 0);
    CHECK(next > 1000);
  }
}

TEST_CASE("a ring takes messages until it is exactly full, and again when some were given back") {
  Ring ring(256);
  for (int round = 0; round < 100; ++round) {
    int written = 0;
    while (ring.write(static_cast<std::uint64_t>(written), std::string(16, 'x'))) ++written;
    CHECK(written == 8);  // of 32 bytes each
    CHECK_FALSE(ring.writer.all_consumed());
    RingMessage message;
    int read = 0;
    while (ring.reader.next(message) == RingReader::Result::message) ++read;
    CHECK(read == 8);
    CHECK_FALSE(ring.write(9, ""));  // nothing was given back
    ring.reader.give_back();
    CHECK(ring.writer.all_consumed());
  }
}

TEST_CASE("the largest message fits into an empty ring at every position") {
  Ring ring(256);
  const std::string largest = numbered(1, ring::largest_payload(256));
  for (std::size_t shift = 0; shift < 64; ++shift) {
    REQUIRE(ring.write(1, std::string(shift % 3 * 16, 'a')));
    RingMessage message;
    REQUIRE(ring.reader.next(message) == RingReader::Result::message);
    ring.reader.give_back();
    REQUIRE(ring.write(2, largest));
    REQUIRE(ring.reader.next(message) == RingReader::Result::message);
    CHECK(text_of(message) == largest);
    ring.reader.give_back();
  }
  CHECK_FALSE(ring.write(3, largest + "x"));  // larger than that is for the socket
}

TEST_CASE("what was not published is not there") {
  Ring ring(256);
  std::byte* const room = ring.writer.reserve(100);
  REQUIRE(room != nullptr);
  std::memset(room, 'x', 60);  // and here it dies
  RingMessage message;
  CHECK(ring.reader.next(message) == RingReader::Result::empty);
  CHECK_FALSE(ring.reader.has_more());
}

TEST_CASE("a message that was unread comes again, and so do all after a rewind") {
  Ring ring(256);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) REQUIRE(ring.write(tag, "text"));
  RingMessage message;
  REQUIRE(ring.reader.next(message) == RingReader::Result::message);
  REQUIRE(ring.reader.next(message) == RingReader::Result::message);
  ring.reader.unread();
  REQUIRE(ring.reader.next(message) == RingReader::Result::message);
  CHECK(message.tag == 2);
  ring.reader.rewind();
  REQUIRE(ring.reader.next(message) == RingReader::Result::message);
  CHECK(message.tag == 1);
}

TEST_CASE("indexes and headers that no writer of ours has written are refused") {
  constexpr std::size_t capacity = 256;
  RingMessage message;
  for (const std::uint64_t published :
       {std::uint64_t{8}, std::uint64_t{272}, std::uint64_t{1} << 40U, ~std::uint64_t{0},
        ~std::uint64_t{15}}) {
    Ring ring(capacity);
    ring.indexes.published.store(published);
    CHECK(ring.reader.next(message) == RingReader::Result::corrupt);
    CHECK(ring.reader.next(message) == RingReader::Result::corrupt);
  }
  for (const RingHeader bad :
       {RingHeader{97, 7, 0}, RingHeader{1U << 30U, 7, 0}, RingHeader{0xfffffffeU, 7, 0},
        RingHeader{RingHeader::filler, 7, 0}, RingHeader{113, 7, 0}}) {
    Ring ring(capacity);
    REQUIRE(ring.write(1, std::string(64, 'x')));
    std::memcpy(ring.memory, &bad, sizeof bad);
    CHECK(ring.reader.next(message) == RingReader::Result::corrupt);
  }
  {  // a message that would leave the ring at its end
    Ring ring(capacity);
    for (int i = 0; i < 2; ++i) {
      REQUIRE(ring.write(1, std::string(96 - header, 'x')));
      REQUIRE(ring.reader.next(message) == RingReader::Result::message);
      ring.reader.give_back();
    }
    REQUIRE(ring.write(1, std::string(48, 'x')));
    const RingHeader bad{100, 7, 0};
    std::memcpy(ring.memory + 192, &bad, sizeof bad);
    ring.indexes.published.store(192 + 128);
    CHECK(ring.reader.next(message) == RingReader::Result::corrupt);
  }
  {  // a reader that claims to have read what was never written: the ring stays full
    Ring ring(capacity);
    while (ring.write(1, "text")) {
    }
    ring.indexes.consumed.store(1U << 20U);
    CHECK_FALSE(ring.write(2, "text"));
    ring.indexes.consumed.store(~std::uint64_t{0});
    CHECK_FALSE(ring.write(2, "text"));
  }
}

TEST_CASE("whatever is in a ring's memory, its reader stays within it") {
  constexpr std::size_t capacity = 1024;
  std::mt19937 random(1);
  std::size_t outside = 0;
  std::size_t read = 0;
  for (int round = 0; round < 20000; ++round) {
    Ring ring(capacity);
    for (std::size_t i = 0; i + header <= capacity; i += 16) {
      const auto size = static_cast<std::uint32_t>(random() % 200);
      const auto kind = static_cast<std::uint32_t>(random() % 12);
      const RingHeader garbage{size < 25 ? RingHeader::filler : size, kind, random()};
      std::memcpy(ring.memory + i, &garbage, sizeof garbage);
    }
    ring.indexes.published.store(random() % 70 * 16);
    RingMessage message;
    while (ring.reader.next(message) == RingReader::Result::message) {
      const std::byte* const begin = message.payload.data();
      outside += begin < ring.memory || begin + message.payload.size() > ring.memory + capacity;
      ++read;
    }
  }
  CHECK(outside == 0);
  CHECK(read > 1000);
}

TEST_CASE("two threads pass many messages through a small ring") {
  Ring ring(512);
  const std::size_t count = support::scaled(400000);
  std::size_t wrong = 0;
  std::thread reads([&] {
    RingMessage message;
    for (std::uint64_t expected = 0; expected < count;) {
      const auto result = ring.reader.next(message);
      if (result == RingReader::Result::empty) {
        std::this_thread::yield();
        continue;
      }
      if (result == RingReader::Result::corrupt) {
        wrong += 1000000;
        break;
      }
      wrong += message.tag != expected ||
               text_of(message) != numbered(expected, static_cast<std::size_t>(expected % 180));
      ++expected;
      if (expected % 3 == 0) ring.reader.give_back();
      if (!ring.reader.has_more()) ring.reader.give_back();
    }
  });
  for (std::uint64_t tag = 0; tag < count; ++tag) {
    const std::string text = numbered(tag, static_cast<std::size_t>(tag % 180));
    while (!ring.write(tag, text)) std::this_thread::yield();
  }
  reads.join();
  CHECK(wrong == 0);
}

TEST_CASE("a worker sees the end of its channel, also if that was full and others can ring") {
  for (const bool full : {false, true}) {
    Channel channel;
    std::uint64_t sent = 0;
    for (const std::size_t size : {4000U, 0U}) {  // so that not even a goodbye finds room
      const ByteBuffer request = request_of(std::string(size, 'x'));
      while (full && channel.pool.has_room(request)) {
        channel.pool.append_revocable(request, ++sent);
        REQUIRE(channel.pool.publish());
      }
    }
    channel.pool.close();
    std::uint64_t received = 0;
    Frame frame;
    while (channel.worker->receive(frame)) ++received;  // if anybody hangs, it is this thread
    CHECK(received == sent);
  }
}

TEST_CASE("small and large requests arrive in order, and wake a worker that sleeps") {
  Channel channel;
  const std::size_t count = support::scaled(4000);
  std::size_t wrong = 0;
  std::thread worker([&] {
    Frame frame;
    std::uint64_t expected = 1;
    ByteBuffer reply;
    while (channel.worker->receive(frame)) {
      const std::size_t size = static_cast<std::size_t>(expected % 50 == 0 ? 50000 : expected % 90);
      wrong += frame.kind != FrameKind::task || frame.task != expected ||
               text_of(frame.payload) != numbered(expected, size);
      begin_frame(reply);
      reply.append(frame.payload.data(), frame.payload.size());
      channel.worker->send(reply, FrameKind::value, expected);
      ++expected;
    }
    wrong += expected != count + 1;
  });
  std::size_t results = 0;
  const auto fetch = [&] {
    RingMessage message;
    while (channel.pool.results().next(message) == RingReader::Result::message) ++results;
    channel.pool.results().give_back();
    channel.pool.pump_in([&](const Frame& frame) { results += frame.kind == FrameKind::value; });
    channel.pool.pump_out();
  };
  for (std::uint64_t ticket = 1; ticket <= count; ++ticket) {
    const std::size_t size = static_cast<std::size_t>(ticket % 50 == 0 ? 50000 : ticket % 90);
    ByteBuffer request = request_of(numbered(ticket, size));
    while (!channel.pool.has_room(request)) fetch();
    channel.pool.send(request, ticket, nullptr);
    channel.pool.wake_worker();
    // Now and then the worker has to sleep first; it says so.
    if (ticket % 40 == 0) {
      while (channel.block().worker_sleeps.load() == 0) fetch();
    }
  }
  while (results < count) fetch();
  channel.pool.close();
  worker.join();
  CHECK(wrong == 0);
  CHECK(results == count);
}

TEST_CASE("a worker rings for its results if the pool listens, and only then") {
  Channel channel;
  ByteBuffer first = request_of("a");
  ByteBuffer second = request_of("b");
  ByteBuffer reply;
  const auto bells = [&] {
    std::size_t count = 0;
    channel.pool.pump_in([&](const Frame& frame) { count += frame.kind == FrameKind::wake; });
    return count;
  };
  const auto run_one = [&] {
    Frame frame;
    REQUIRE(channel.worker->receive(frame));
    begin_frame(reply);
    channel.worker->send(reply, FrameKind::value, frame.task);
  };
  channel.pool.look();
  channel.pool.send(first, 1, nullptr);
  channel.pool.send(second, 2, nullptr);
  run_one();
  run_one();
  CHECK(bells() == 0);

  channel.pool.listen();
  for (std::uint64_t ticket = 3; ticket < 6; ++ticket) {
    ByteBuffer next = request_of("c");
    channel.pool.send(next, ticket, nullptr);
  }
  run_one();
  CHECK(bells() == 1);  // before the task; for the two that lie there
  run_one();
  CHECK(bells() == 0);  // once is enough until the pool listens again
  channel.pool.listen();
  run_one();
  CHECK(bells() == 1);
}

TEST_CASE("a task in a ring is either begun or revoked, never both") {
  Channel channel;
  const std::size_t count = support::scaled(40000);
  std::vector<char> ran(count + 1, 0);
  std::vector<char> revoked(count + 1, 0);
  std::thread worker([&] {
    Frame frame;
    ByteBuffer reply;
    while (channel.worker->receive(frame)) {
      ran[static_cast<std::size_t>(frame.task)] += 1;
      begin_frame(reply);
      channel.worker->send(reply, FrameKind::value, frame.task);
    }
  });
  channel.pool.look();
  for (std::uint64_t ticket = 1; ticket <= count; ++ticket) {
    ByteBuffer request = request_of("x");
    RingMessage message;
    while (!channel.pool.has_room(request) || !channel.pool.slot_is_free(ticket)) {
      channel.pool.publish();
      while (channel.pool.results().next(message) == RingReader::Result::message) {
      }
      channel.pool.results().give_back();
      channel.pool.pump_in([](const Frame&) {});
    }
    channel.pool.append_revocable(request, ticket);
    if (ticket % 3 == 0) channel.pool.publish();
    const std::uint64_t victim = ticket - (ticket > 3 ? ticket % 3 : 0);
    if (channel.pool.revoke(victim)) revoked[static_cast<std::size_t>(victim)] += 1;
    while (channel.pool.results().next(message) == RingReader::Result::message) {
    }
    channel.pool.results().give_back();
  }
  channel.pool.publish();
  channel.pool.close();
  worker.join();
  std::size_t wrong = 0;
  for (std::size_t i = 1; i <= count; ++i) {
    if (ran[i] + revoked[i] > 1) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a mark is here in the process that made it, and nowhere else") {
  const concurrent::detail::os::ProcessMark mark;
  CHECK(mark.is_here());
  const auto child = process_test::run_in_child([&mark] { return mark.is_here() ? 1 : 0; });
  CHECK(child.status == 0);
}
