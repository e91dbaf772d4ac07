// SPDX-License-Identifier: MIT
#pragma once

// The usual file name extension of a media type, as Python's mimetypes.guess_extension.

#include <string_view>

namespace parallel_download {

/// "image/jpeg; charset=x" gives ".jpg"; nothing for a type that says nothing (or that is unknown).
std::string_view extension_for(std::string_view content_type);

}  // namespace parallel_download
