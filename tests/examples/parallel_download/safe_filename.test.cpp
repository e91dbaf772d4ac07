// SPDX-License-Identifier: MIT

#include "parallel_download/safe_filename.hpp"

#include "parallel_download/media_type.hpp"
#include "parallel_download/text.hpp"
#include "support/catch.hpp"

using namespace parallel_download;
using namespace std::string_literals;

TEST_CASE("a harmless name stays as it is") {
  for (const char* name :
       {"a.png", "photo 1 (2).jpg", "사진.jpeg", "naïve_file-2.tar.gz", "a..b"}) {
    CHECK(safe_filename(name) == name);
  }
}

TEST_CASE("no name leaves the folder") {
  for (const char* name : {"../a", "..", ".", "/etc/passwd", "a/../../b", "..\\..\\a", "C:\\a", "/",
                           "....//a", ".\u200B./a"}) {
    CAPTURE(name);
    const std::string safe = safe_filename(name);
    CHECK(safe.find_first_of("/\\:") == std::string::npos);
    CHECK(safe != ".");
    CHECK(safe != "..");
  }
  CHECK(safe_filename("..").empty());
  CHECK(safe_filename("../a") == "_a");
}

TEST_CASE("no name is hidden, and none ends in what Windows drops") {
  CHECK(safe_filename(".bashrc") == "bashrc");
  CHECK(safe_filename(" . . a.png. . ") == "a.png");
}

TEST_CASE("characters that are reserved somewhere become underscores") {
  CHECK(safe_filename("a<b>c:d\"e|f?g*h") == "a_b_c_d_e_f_g_h");
}

TEST_CASE("control, invisible and direction-turning characters become underscores") {
  CHECK(safe_filename("a\nb\tc\0d\x7f.png"s) == "a_b_c_d_.png");
  CHECK(safe_filename("photo\u202Egpj.exe") == "photo_gpj.exe");
  CHECK(safe_filename("a\xFF\xC0\xAF.png") == "a___.png");
}

TEST_CASE("device names of Windows are defused, with any extension") {
  for (const char* name : {"CON", "nul.txt", "Aux.tar.gz", "com1", "LPT9.png", "con .txt"}) {
    CAPTURE(name);
    CHECK(safe_filename(name) == "_"s + name);
  }
  for (const char* name : {"console.txt", "com0", "com10", "lpt", "null"}) {
    CHECK(safe_filename(name) == name);
  }
}

TEST_CASE("no name looks like an option") { CHECK(safe_filename("-rf") == "_-rf"); }

TEST_CASE("an over-long name is cut and keeps its extension") {
  std::string name(1000, 'a');
  name += ".jpeg";
  const std::string safe = safe_filename(name);
  CHECK(safe.size() == longest_filename);
  CHECK(safe.ends_with("aaa.jpeg"));
}

TEST_CASE("an over-long name is cut between characters") {
  for (std::size_t offset = 0; offset < 4; ++offset) {
    std::string name(offset, 'a');
    for (int i = 0; i < 300; ++i) name += "😀";
    const std::string safe = safe_filename(name + ".png");
    CHECK(safe.size() <= longest_filename);
    CHECK(safe.size() > longest_filename - 4);
    CHECK(is_utf8(safe));
  }
}

TEST_CASE("what looks like an over-long extension is cut too") {
  CHECK(safe_filename("a." + std::string(1000, 'b')).size() <= longest_filename);
}

TEST_CASE("the name in a URL is the last part of its path, decoded") {
  CHECK(name_from_url("https://images.unsplash.com/photo-1516117172878-fd2c41f4a759") ==
        "photo-1516117172878-fd2c41f4a759");
  CHECK(name_from_url("http://h/a/b%20c.png?d=/e#f/g") == "b c.png");
  CHECK(name_from_url("http://h/a/") == "a");
  CHECK(name_from_url("http://h/%2e%2e%2fa") == "../a");
  CHECK(name_from_url("http://h/").empty());
  CHECK(name_from_url("http://h").empty());
  CHECK(name_from_url("http://h?a/b").empty());
}

TEST_CASE("Content-Disposition goes before the URL, and both before nothing") {
  CHECK(choose_filename("attachment; filename=a.png", "http://h/b.png", "image/png") == "a.png");
  CHECK(choose_filename("attachment; filename=\"..\"", "http://h/b.png", "image/png") == "b.png");
  CHECK(choose_filename("", "http://h/b.png", "image/png") == "b.png");
  CHECK(choose_filename("", "http://h/%2e%2e", "text/html") == "index.html");
  CHECK(choose_filename("", "http://h/", "") == "index");
}

TEST_CASE("a name without an extension gets that of the content type") {
  CHECK(choose_filename("", "http://h/photo-15-f4", "image/jpeg; charset=binary") ==
        "photo-15-f4.jpg");
  CHECK(choose_filename("", "http://h/version-1.5", "image/png") == "version-1.5.png");
  CHECK(choose_filename("", "http://h/a.jpeg", "image/png") == "a.jpeg");
  CHECK(choose_filename("", "http://h/a", "application/octet-stream") == "a");
  CHECK(choose_filename("", "http://h/.png", "image/png") == "png.png");
  const std::string cut = choose_filename("", "http://h/" + std::string(500, 'a'), "image/png");
  CHECK(cut.size() == longest_filename);
  CHECK(cut.ends_with(".png"));
}

TEST_CASE("a media type is found whatever its case and parameters") {
  CHECK(extension_for("Image/PNG ; q=1") == ".png");
  CHECK(extension_for("image/unheard-of").empty());
  CHECK(extension_for("").empty());
}

TEST_CASE("the number of a second file of a name goes before the extension") {
  CHECK(numbered("a.png", 0) == "a.png");
  CHECK(numbered("a.png", 1) == "a-1.png");
  CHECK(numbered("a", 12) == "a-12");
  CHECK(numbered("a.tar.gz", 2) == "a.tar-2.gz");
  CHECK(numbered("1.5", 1) == "1.5-1");
}
