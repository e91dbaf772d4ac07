// SPDX-License-Identifier: MIT

#include "parallel_download/content_disposition.hpp"

#include "support/catch.hpp"

using parallel_download::name_from_content_disposition;

TEST_CASE("a Content-Disposition names its file as a token or a quoted string") {
  CHECK(name_from_content_disposition("attachment; filename=a.png") == "a.png");
  CHECK(name_from_content_disposition("attachment; filename=\"a b.png\"") == "a b.png");
  CHECK(name_from_content_disposition("INLINE ;FileName = \"a.png\" ; x=y") == "a.png");
  CHECK(name_from_content_disposition(R"(attachment; filename="a\"b.png")") == "a\"b.png");
}

TEST_CASE("a semicolon in a quoted file name does not end it") {
  CHECK(name_from_content_disposition("attachment; filename=\"a;b.png\"; size=3") == "a;b.png");
}

TEST_CASE("filename* is decoded by its character set and goes before filename") {
  CHECK(name_from_content_disposition("attachment; filename*=UTF-8''%e2%82%ac%20rates.png") ==
        "€ rates.png");
  CHECK(name_from_content_disposition("attachment; filename*=utf-8'en'a.png") == "a.png");
  CHECK(name_from_content_disposition("attachment; filename*=iso-8859-1''caf%E9.png") ==
        "café.png");
  CHECK(name_from_content_disposition("attachment; filename=b.png; filename*=UTF-8''a.png") ==
        "a.png");
  CHECK(name_from_content_disposition("attachment; filename*=UTF-8''a.png; filename=b.png") ==
        "a.png");
}

TEST_CASE("filename stands in for a filename* that cannot be understood") {
  CHECK(name_from_content_disposition("attachment; filename=b; filename*=UTF-8''%ff") == "b");
  CHECK(name_from_content_disposition("attachment; filename=b; filename*=KOI8-R''%e1") == "b");
  CHECK(name_from_content_disposition("attachment; filename=b; filename*=a.png") == "b");
}

TEST_CASE("raw bytes in filename that are no UTF-8 are taken as Latin-1") {
  CHECK(name_from_content_disposition("attachment; filename=\"caf\xE9.png\"") == "café.png");
}

TEST_CASE("of a path in a Content-Disposition only the last part is taken") {
  CHECK(name_from_content_disposition("attachment; filename=\"../../etc/passwd\"") == "passwd");
  CHECK(name_from_content_disposition(R"(attachment; filename="C:\\dir\\a.png")") == "a.png");
  CHECK(name_from_content_disposition("attachment; filename*=UTF-8''..%2F..%2Fa.png") == "a.png");
}

TEST_CASE("a Content-Disposition without a usable file name gives none") {
  for (const char* header : {"", ";", "inline", "attachment; filename", "attachment; filename=",
                             "attachment; filename=\"\"", "attachment; filename=\"/\"",
                             "attachment; filename*=", "attachment; name=a.png", "filename=a.png",
                             "attachment; =a", "attachment;;;", "attachment; filename=\"dir/"}) {
    CAPTURE(header);
    CHECK_FALSE(name_from_content_disposition(header).has_value());
  }
}

TEST_CASE("an unfinished quoted string ends with the header") {
  CHECK(name_from_content_disposition("attachment; filename=\"a.png") == "a.png");
  CHECK_FALSE(name_from_content_disposition("attachment; filename=\"a.png\\").has_value());
}
