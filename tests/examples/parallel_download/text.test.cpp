// SPDX-License-Identifier: MIT

#include "parallel_download/text.hpp"

#include "support/catch.hpp"

using namespace parallel_download;
using namespace std::string_literals;

TEST_CASE("percent-decoding turns two hexadecimal digits into a byte") {
  CHECK(percent_decoded("a%20b%2Fc%e2%82%AC") == "a b/c€");
}

TEST_CASE("percent-decoding leaves a lonely percent sign as it is") {
  CHECK(percent_decoded("100%") == "100%");
  CHECK(percent_decoded("%4") == "%4");
  CHECK(percent_decoded("%zz%g1%1g") == "%zz%g1%1g");
  CHECK(percent_decoded("%%41") == "%A");
}

TEST_CASE("UTF-8 that is cut, over-long, a surrogate or beyond Unicode is not UTF-8") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("aé€😀"));
  CHECK_FALSE(is_utf8("\xC3"));
  CHECK_FALSE(is_utf8("\xE2\x82"));
  CHECK_FALSE(is_utf8("\x80"));
  CHECK_FALSE(is_utf8("\xC0\xAF"));          // '/' in two bytes
  CHECK_FALSE(is_utf8("\xE0\x80\xAF"));      // '/' in three
  CHECK_FALSE(is_utf8("\xED\xA0\x80"));      // U+D800
  CHECK_FALSE(is_utf8("\xF4\x90\x80\x80"));  // U+110000
  CHECK_FALSE(is_utf8("\xFF"));
}

TEST_CASE("Latin-1 becomes UTF-8") { CHECK(utf8_from_latin1("caf\xE9") == "café"); }

TEST_CASE("printable text has no control, invisible or direction-turning characters") {
  CHECK(printable("plain é €") == "plain é €");
  CHECK(printable("a\x1b[31mb\r\nc\0d"s) == "a?[31mb??c?d");
  CHECK(printable("photo\u202Egpj.exe") == "photo?gpj.exe");
  CHECK(printable("\u200B\u0085\uFEFF") == "???");
  CHECK(printable("\xFF") == "?");
}

TEST_CASE("trimming takes blanks off both ends and nothing else") {
  CHECK(trimmed(" \t a b \r\n") == "a b");
  CHECK(trimmed(" \t ").empty());
}
