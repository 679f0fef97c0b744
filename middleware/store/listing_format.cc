#include "middleware/store/listing_format.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <optional>

#include "middleware/http/reply.h"
#include "middleware/http/text.h"

namespace zerocloud::store {
namespace {

std::optional<ListingFormat> FormatOfType(std::string_view type) {
  if (http::EqualsIgnoringCase(type, "application/json")) return ListingFormat::kJson;
  if (http::EqualsIgnoringCase(type, "application/xml") ||
      http::EqualsIgnoringCase(type, "text/xml")) {
    return ListingFormat::kXml;
  }
  if (http::EqualsIgnoringCase(type, "text/plain") || type == "*/*" ||
      http::EqualsIgnoringCase(type, "text/*")) {
    return ListingFormat::kPlain;
  }
  if (http::EqualsIgnoringCase(type, "application/*")) return ListingFormat::kJson;
  return std::nullopt;
}

std::string PlainText(const std::vector<ListingEntry>& entries) {
  std::string text;
  for (const ListingEntry& entry : entries) {
    text += entry.name;
    text.push_back('\n');
  }
  return text;
}

std::string JsonText(const std::vector<ListingEntry>& entries, ListingOf what) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  const auto text = [&](const char* key, const std::string& value) {
    writer.Key(key);
    writer.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  const auto number = [&](const char* key, std::uint64_t value) {
    writer.Key(key);
    writer.Uint64(value);
  };
  writer.StartArray();
  for (const ListingEntry& entry : entries) {
    writer.StartObject();
    if (entry.is_subdir) {
      text("subdir", entry.name);
    } else if (what == ListingOf::kObjects) {
      number("bytes", entry.bytes);
      text("hash", entry.etag);
      text("name", entry.name);
      text("content_type", entry.content_type);
      text("last_modified", entry.timestamp.ToIso());
    } else {
      text("name", entry.name);
      number("count", entry.objects);
      number("bytes", entry.bytes);
      text("last_modified", entry.timestamp.ToIso());
    }
    writer.EndObject();
  }
  writer.EndArray();
  return {buffer.GetString(), buffer.GetSize()};
}

// Characters that XML 1.0 cannot hold at all become U+FFFD.
std::string XmlEscape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (byte < 0x20) {
      out +=
          c == '\t' || c == '\n' || c == '\r' ? "&#" + std::to_string(byte) + ";" : "\xef\xbf\xbd";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string XmlText(const std::vector<ListingEntry>& entries, ListingOf what,
                    std::string_view name) {
  const bool is_objects = what == ListingOf::kObjects;
  const std::string root = is_objects ? "container" : "account";
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" + root + " name=\"" +
                     XmlEscape(name) + "\">\n";
  const auto element = [](const std::string& tag, const std::string& value) {
    return "<" + tag + ">" + XmlEscape(value) + "</" + tag + ">";
  };
  for (const ListingEntry& entry : entries) {
    if (entry.is_subdir) {
      text += "<subdir name=\"" + XmlEscape(entry.name) + "\">" + element("name", entry.name) +
              "</subdir>\n";
    } else if (is_objects) {
      text += "<object>" + element("name", entry.name) + element("hash", entry.etag) +
              element("bytes", std::to_string(entry.bytes)) +
              element("content_type", entry.content_type) +
              element("last_modified", entry.timestamp.ToIso()) + "</object>\n";
    } else {
      text += "<container>" + element("name", entry.name) +
              element("count", std::to_string(entry.objects)) +
              element("bytes", std::to_string(entry.bytes)) +
              element("last_modified", entry.timestamp.ToIso()) + "</container>\n";
    }
  }
  return text + "</" + root + ">\n";
}

}  // namespace

std::expected<ListingFormat, http::Response> ChooseFormat(const http::Query& query,
                                                          const http::Headers& headers) {
  if (const auto format = query.Get("format")) {
    if (http::EqualsIgnoringCase(*format, "json")) return ListingFormat::kJson;
    if (http::EqualsIgnoringCase(*format, "xml")) return ListingFormat::kXml;
    return ListingFormat::kPlain;
  }
  const auto accept = headers.Get("Accept");
  if (!accept || http::Trim(*accept).empty()) return ListingFormat::kPlain;
  for (const std::string_view range : http::SplitTrimmed(*accept, ',')) {
    if (const auto format = FormatOfType(http::Trim(range.substr(0, range.find(';'))))) {
      return *format;
    }
  }
  return std::unexpected(http::TextResponse(
      406, "A listing is text/plain, application/json or application/xml; Accept allows none."));
}

std::expected<ListingQuery, http::Response> ReadListingQuery(const http::Query& query,
                                                             std::size_t max_limit) {
  for (const auto& [name, value] : query.all()) {
    if (!http::IsUtf8(name) || !http::IsUtf8(value)) {
      return std::unexpected(http::TextResponse(
          400, "A parameter of the query is not valid UTF-8; percent-encode names as UTF-8."));
    }
  }
  const auto text = [&](std::string_view name) {
    return std::string(query.Get(name).value_or(std::string_view()));
  };
  ListingQuery listing;
  listing.prefix = text("prefix");
  listing.delimiter = text("delimiter");
  listing.marker = text("marker");
  listing.end_marker = text("end_marker");
  listing.reverse = http::IsTrue(text("reverse"));
  if (query.Has("path")) listing.path = text("path");
  listing.limit = max_limit;
  if (const auto limit = http::ParseNumber(text("limit"))) {
    if (*limit > max_limit) {
      return std::unexpected(http::TextResponse(
          412, "limit is " + std::to_string(*limit) + "; a listing gives at most " +
                   std::to_string(max_limit) + " names at a time, go on with marker="));
    }
    listing.limit = *limit;
  }
  return listing;
}

http::Response RenderListing(const std::vector<ListingEntry>& entries, ListingFormat format,
                             ListingOf what, std::string_view name) {
  http::Response response;
  switch (format) {
    case ListingFormat::kPlain:
      response.headers.Set("Content-Type", "text/plain; charset=utf-8");
      response.text = PlainText(entries);
      if (response.text.empty()) response.status = 204;
      break;
    case ListingFormat::kJson:
      response.headers.Set("Content-Type", "application/json; charset=utf-8");
      response.text = JsonText(entries, what);
      break;
    case ListingFormat::kXml:
      response.headers.Set("Content-Type", "application/xml; charset=utf-8");
      response.text = XmlText(entries, what, name);
      break;
  }
  return response;
}

}  // namespace zerocloud::store
