// SPDX-License-Identifier: MIT
#pragma once

// The file name in a Content-Disposition header (RFC 6266), the extended form filename*= (RFC 8187)
// included. What comes back is what the server wrote: it is not safe to use before
// safe_filename() has seen it.

#include <optional>
#include <string>
#include <string_view>

namespace parallel_download {

/// `attachment; filename="a.png"; filename*=UTF-8''%e2%82%ac.png` gives "€.png" as UTF-8: filename*
/// goes before filename, as the RFC asks. Of a path only the last part is taken. Nothing when the
/// header names no file, or not in a way that can be understood.
std::optional<std::string> name_from_content_disposition(std::string_view header);

}  // namespace parallel_download
