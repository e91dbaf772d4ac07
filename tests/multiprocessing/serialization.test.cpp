// SPDX-License-Identifier: MIT

// What crosses a process boundary, and what comes out on the other side.

#include <array>
#include <chrono>
#include <complex>
#include <concurrent/multiprocessing/exceptions.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <deque>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace mp = concurrent::multiprocessing;

namespace {

/// What is read after `value` was written.
template <class T>
T through_bytes(const T& value) {
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, value);
  mp::detail::ByteReader reader(buffer.bytes());
  return std::get<0>(mp::detail::read_values<T>(reader));
}

struct Point {
  int x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};

class Celsius {  // no default constructor, nothing public
 public:
  explicit constexpr Celsius(double degrees) : degrees_(degrees) {}
  [[nodiscard]] double degrees() const { return degrees_; }

 private:
  double degrees_;
};

class Opaque {  // no constexpr constructor
 public:
  explicit Opaque(int value);
  [[nodiscard]] int value() const { return value_; }

 private:
  int value_;
};
Opaque::Opaque(int value) : value_(value) {}

struct Polygon {
  std::string name;
  std::vector<Point> points;
  std::map<std::string, std::optional<Point>> marks;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, points) & marks;
  }
  bool operator==(const Polygon&) const = default;
};

struct Named {
  std::string name;
};
template <class Archive>
void serialize(Archive& archive, Named& named) {
  archive(cereal::make_nvp("name", named.name));
}

struct Animal {
  Animal() = default;
  explicit Animal(int count) : legs(count) {}
  Animal(const Animal&) = default;
  Animal& operator=(const Animal&) = default;
  virtual ~Animal() = default;
  int legs = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(legs);
  }
};
struct Dog final : Animal {
  Dog() : Animal(4) {}
  std::string name;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<Animal>(this), name);
  }
};

struct HoldsPointer {
  const char* text;
};
struct HoldsView {
  int number;
  std::string_view text;
};
struct HoldsReference {
  int& number;
};
class HidesPointer {
 public:
  constexpr explicit HidesPointer(const int* at) : at_(at) {}

 private:
  [[maybe_unused]] const int* at_;
};
struct Deep {
  HidesPointer hidden;
};
union Either {
  int number;
  float real;
};
union Allowed {
  int number;
  float real;
};
struct Index {
  int into_a_table;
};
struct WithoutSerialize {
  std::string text;
};

}  // namespace

template <>
inline constexpr bool mp::enable_trivial_transfer<Allowed> = true;
template <>
inline constexpr bool mp::enable_trivial_transfer<Index> = false;

CEREAL_REGISTER_TYPE(Dog)

// What crosses is known when the program is compiled.
static_assert(mp::can_cross_process_boundary<int>);
static_assert(mp::can_cross_process_boundary<Point>);
static_assert(mp::can_cross_process_boundary<Celsius>);
static_assert(mp::can_cross_process_boundary<Opaque>);
static_assert(mp::can_cross_process_boundary<Polygon>);
static_assert(mp::can_cross_process_boundary<Allowed>);
static_assert(mp::can_cross_process_boundary<std::monostate>);
static_assert(mp::can_cross_process_boundary<int (*)(int)>);
static_assert(mp::can_cross_process_boundary<int Point::*>);
static_assert(mp::can_cross_process_boundary<std::vector<std::variant<Point, Polygon>>>);
static_assert(!mp::can_cross_process_boundary<int*>);
static_assert(!mp::can_cross_process_boundary<const char*>);
static_assert(!mp::can_cross_process_boundary<int&>);
static_assert(!mp::can_cross_process_boundary<void>);
static_assert(!mp::can_cross_process_boundary<std::nullptr_t>);
static_assert(!mp::can_cross_process_boundary<std::string_view>);
static_assert(!mp::can_cross_process_boundary<std::span<const int>>);
static_assert(!mp::can_cross_process_boundary<std::reference_wrapper<int>>);
static_assert(!mp::can_cross_process_boundary<std::function<void()>>);
static_assert(!mp::can_cross_process_boundary<std::vector<int>::iterator>);
static_assert(!mp::can_cross_process_boundary<HoldsPointer>);
static_assert(!mp::can_cross_process_boundary<HoldsView>);
static_assert(!mp::can_cross_process_boundary<HoldsReference>);
static_assert(!mp::can_cross_process_boundary<HidesPointer>);
static_assert(!mp::can_cross_process_boundary<Deep>);
static_assert(!mp::can_cross_process_boundary<Either>);
static_assert(!mp::can_cross_process_boundary<Index>);
static_assert(!mp::can_cross_process_boundary<WithoutSerialize>);
static_assert(!mp::can_cross_process_boundary<std::vector<WithoutSerialize>>);
static_assert(!mp::can_cross_process_boundary<std::vector<std::string_view>>);
static_assert(!mp::can_cross_process_boundary<std::array<std::string_view, 2>>);
static_assert(!mp::can_cross_process_boundary<std::optional<int*>>);
static_assert(!mp::can_cross_process_boundary<std::tuple<int, HoldsPointer>>);
static_assert(!mp::can_cross_process_boundary<std::map<int, std::pair<int, const char*>>>);
static_assert(!mp::can_cross_process_boundary<std::unique_ptr<HoldsPointer>>);

TEST_CASE("plain values come back as they were") {
  CHECK(through_bytes(42) == 42);
  CHECK(through_bytes(-0.5L) == -0.5L);
  CHECK(through_bytes(true) == true);
  CHECK(through_bytes(std::byte{7}) == std::byte{7});
  CHECK(through_bytes(Point{3, 4}) == Point{3, 4});
  CHECK(through_bytes(Celsius(21.5)).degrees() == 21.5);
  CHECK(through_bytes(Opaque(8)).value() == 8);
  CHECK(through_bytes(std::array<Point, 2>{{{1, 2}, {3, 4}}})[1] == Point{3, 4});
  CHECK(through_bytes(Allowed{5}).number == 5);
  CHECK(through_bytes(std::complex<double>(1, 2)) == std::complex<double>(1, 2));
}

TEST_CASE("times come back as they were") {
  using namespace std::chrono_literals;
  CHECK(through_bytes(std::chrono::nanoseconds(250ms)) == 250ms);
  const auto now = std::chrono::system_clock::now();
  CHECK(through_bytes(now) == now);
}

TEST_CASE("strings and contiguous containers come back as they were") {
  CHECK(through_bytes(std::string()).empty());
  CHECK(through_bytes(std::string("with\0zero", 9)) == std::string("with\0zero", 9));
  CHECK(through_bytes(std::u16string(u"wide")) == u"wide");
  CHECK(through_bytes(std::vector<int>{}).empty());
  CHECK(through_bytes(std::vector<Point>{{1, 2}, {3, 4}})[1] == Point{3, 4});
  CHECK(through_bytes(std::vector<Celsius>{Celsius(1)})[0].degrees() == 1);
  CHECK(through_bytes(std::vector<bool>{true, false, true}) ==
        std::vector<bool>{true, false, true});
  CHECK(through_bytes(std::vector<char>(1U << 20U, 'x')) == std::vector<char>(1U << 20U, 'x'));
}

TEST_CASE("elements that want more alignment than a message has come back as they were") {
  struct alignas(64) Line {
    int number = 0;
  };
  const auto lines = through_bytes(std::vector<Line>{{1}, {2}});
  CHECK(lines.at(1).number == 2);
  CHECK(reinterpret_cast<std::uintptr_t>(lines.data()) % 64 == 0);
}

TEST_CASE("every standard container comes back as it was, at any depth") {
  using Tree = std::map<std::string, std::vector<std::optional<std::pair<int, std::string>>>>;
  const Tree tree{{"a", {std::pair{1, std::string("one")}, std::nullopt}}, {"b", {}}};
  CHECK(through_bytes(tree) == tree);
  CHECK(through_bytes(std::deque<std::string>{"x", "y"}) == std::deque<std::string>{"x", "y"});
  CHECK(through_bytes(std::list<Point>{{1, 2}}) == std::list<Point>{{1, 2}});
  CHECK(through_bytes(std::set<int>{3, 1}) == std::set<int>{1, 3});
  const std::unordered_map<std::string, Point> marks{{"a", {1, 2}}};
  CHECK(through_bytes(marks) == marks);
  const std::variant<int, std::string, Point> either = std::string("text");
  CHECK(through_bytes(either) == either);
  const auto three = std::tuple(1, std::string("two"), Point{3, 3});
  CHECK(through_bytes(three) == three);
  CHECK(through_bytes(std::filesystem::path("/a/b.txt")) == "/a/b.txt");
}

TEST_CASE("classes with a serialize come back as they were, plain members without one too") {
  const Polygon polygon{"triangle", {{0, 0}, {1, 0}, {0, 1}}, {{"top", Point{0, 1}}, {"no", {}}}};
  CHECK(through_bytes(polygon) == polygon);
  CHECK(through_bytes(std::vector<Polygon>{polygon, polygon}).at(1) == polygon);
  CHECK(through_bytes(Named{"free"}).name == "free");
}

TEST_CASE("smart pointers come back with what they own, shared once and polymorphic") {
  const auto shared = std::make_shared<std::string>("one");
  const auto both = through_bytes(std::pair(shared, shared));
  CHECK(*both.first == "one");
  CHECK(both.first == both.second);

  std::unique_ptr<Animal> animal = std::make_unique<Dog>();
  dynamic_cast<Dog&>(*animal).name = "Rex";
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, animal);
  mp::detail::ByteReader reader(buffer.bytes());
  const auto [back] = mp::detail::read_values<std::unique_ptr<Animal>>(reader);
  CHECK(back->legs == 4);
  CHECK(dynamic_cast<Dog&>(*back).name == "Rex");
}

TEST_CASE("a message that is cut short anywhere is an exception, never memory") {
  const auto value = std::tuple(std::string("text"), std::vector<Point>{{1, 2}, {3, 4}},
                                std::map<int, std::string>{{1, "one"}});
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, value);
  for (std::size_t size = 0; size < buffer.size(); ++size) {
    // A copy of exactly that size, so that a sanitiser sees every step beyond it.
    const std::vector<std::byte> cut(buffer.data(), buffer.data() + size);
    mp::detail::ByteReader reader(cut);
    CHECK_THROWS_AS(mp::detail::read_values<std::remove_const_t<decltype(value)>>(reader),
                    mp::CorruptDataError);
  }
}

TEST_CASE("a size that no message can have is an exception, not an allocation") {
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, ~std::uint64_t{0});
  mp::detail::ByteReader reader(buffer.bytes());
  CHECK_THROWS_AS(mp::detail::read_values<std::vector<double>>(reader), mp::CorruptDataError);
}

TEST_CASE("a message that is longer than its value is an exception") {
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, 1, 2);
  mp::detail::ByteReader reader(buffer.bytes());
  CHECK_THROWS_AS(mp::detail::read_values<int>(reader), mp::CorruptDataError);
}
