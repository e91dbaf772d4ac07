// SPDX-License-Identifier: MIT
#pragma once

// File names for what strangers send. The Python originals take `url.split('/')[3]` as it is; a
// name from the network can point out of the folder, hide, collide with a device or be longer than
// the file system allows, so here every name goes through safe_filename().

#include <cstddef>
#include <string>
#include <string_view>

namespace parallel_download {

/// Room that safe_filename() leaves below the 255 bytes of Linux file systems, for "-1", "-2", …
inline constexpr std::size_t longest_filename = 200;

/// A name that is one plain, visible file in any folder, also on Windows and macOS file systems.
///
/// Separators, reserved and unprintable characters become '_', leading dots and blanks and trailing
/// ones go, device names (CON, NUL, COM1 …) and names like options ("-rf") get a '_' in front, and
/// what is over-long is cut between characters with its extension kept. Empty when nothing is left.
std::string safe_filename(std::string_view wanted);

/// The last part of the path of `url`, decoded; empty when it has none. Not yet safe.
std::string name_from_url(std::string_view url);

/// The safe name for a response: from Content-Disposition, else from the URL, else "index"; with
/// the extension of the content type when it has none.
std::string choose_filename(std::string_view content_disposition, std::string_view url,
                            std::string_view content_type);

/// "a.png" and 2 give "a-2.png"; 0 gives the name itself.
std::string numbered(std::string_view name, std::size_t number);

}  // namespace parallel_download
