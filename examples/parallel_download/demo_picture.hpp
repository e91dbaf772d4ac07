// SPDX-License-Identifier: MIT
#pragma once

// Pictures for the demonstration server: it has to send something that a viewer opens.

#include <string>

namespace parallel_download {

/// A JPEG file of 800 by 600 pixels, a different one for each seed.
std::string demo_picture(unsigned seed);

}  // namespace parallel_download
