//! Addresses of pictures. They are shown to browsers and never fetched here.

use url::Url;

/// Longest address, in characters.
pub const MAX_IMAGE_URL_CHARS: usize = 2_048;

/// Whether a browser that is given this text asks some host for it over TLS and nothing else: no script, no data, no
/// password in it, and no white space that browsers would take away and others not.
pub(super) fn is_image_url(text: &str) -> bool {
    let is_plain = text.len() <= MAX_IMAGE_URL_CHARS && text.bytes().all(|b| b.is_ascii_graphic());
    // A browser also reads `https:/host` and `https:\\host`.
    is_plain && text.starts_with("https://") && !text.contains('\\') && is_of_a_host(text)
}

fn is_of_a_host(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            // The parser skips further slashes to find a host.
            && !text["https://".len()..].starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_pictures_are_taken() {
        let path = "x".repeat(MAX_IMAGE_URL_CHARS - "https://a.example/".len());
        let longest = format!("https://a.example/{path}");
        for good in [
            "https://example.com/a.png",
            "https://example.com",
            "https://example.com:8443/a.png?width=200#top",
            "https://xn--caf-dma.example/a",
            "https://192.0.2.1/a.png",
            "https://[2001:db8::1]/a.png",
            "https://example.com/a%20b.png",
            &longest,
        ] {
            assert!(is_image_url(good), "{good}");
        }
        for bad in [
            "",
            "a.png",
            "/a.png",
            "//example.com/a.png",
            "http://example.com/a.png",
            "HTTPS://example.com/a.png",
            "ftp://example.com/a.png",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "file:///etc/passwd",
            "https:",
            "https://",
            "https:///a.png",
            "https:////example.com/a.png",
            "https://?a",
            "https://#a",
            "https://:443/a.png",
            "https://example.com:99999/a.png",
            "https://exa mple.com/a.png",
            " https://example.com/a.png",
            "https://example.com/a\nb",
            "https://exämple.com/a.png",
            "https://user@example.com/a.png",
            "https://user:word@example.com/a.png",
            "https://example.com\\@evil.example/a.png",
            "https://[2001:db8::1/a.png",
            "https://a b%00.example/",
            &format!("{longest}x"),
        ] {
            assert!(!is_image_url(bad), "{bad}");
        }
    }
}
