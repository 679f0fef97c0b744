#include <algorithm>
#include <iterator>

#include "middleware/http/message.h"
#include "middleware/http/text.h"

namespace zerocloud::http {

static_assert(std::forward_iterator<Headers::Iterator>);

std::optional<std::string_view> Headers::Get(std::string_view name) const {
  for (const Place& place : places_) {
    if (place.name_size != name.size()) continue;
    const Field field = At(place);
    if (EqualsIgnoringCase(field.first, name)) return field.second;
  }
  return std::nullopt;
}

void Headers::Add(std::string_view name, std::string_view value) {
  const std::size_t start = text_.size();
  text_.append(name).append(value);
  places_.push_back({start, name.size(), value.size()});
}

void Headers::Set(std::string_view name, std::string_view value) {
  // They may be parts of what goes.
  const std::string own_name(name);
  const std::string own_value(value);
  Remove(own_name);
  Add(own_name, own_value);
}

// The bytes stay until the fields are destroyed.
void Headers::Remove(std::string_view name) {
  std::erase_if(places_, [&](const Place& place) {
    return place.name_size == name.size() && EqualsIgnoringCase(At(place).first, name);
  });
}

}  // namespace zerocloud::http
