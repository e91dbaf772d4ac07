// SPDX-License-Identifier: MIT
#pragma once

// One picture that shows pairs of before and after, with their names.

#include <string>
#include <vector>

#include "image.hpp"
#include "job.hpp"

namespace image_processing {

struct ContactPair {
  std::string name;
  Thumbnail before, after;
};

Image contact_sheet(const std::vector<ContactPair>& pairs, const std::string& title);

}  // namespace image_processing
