//! `/`: the live page, one file with its style and script inside. A browser runs and applies these
//! two and nothing else: the policy names them by their hashes, which are those of the file as it
//! is served. The page loads nothing and asks nobody but this service.

use std::sync::LazyLock;

use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::routed;

routed!(page);

/// The live page.
#[utoipa::path(
    get,
    path = "/",
    tag = "tokens",
    responses((status = OK, description = "The page", content_type = "text/html", body = String))
)]
async fn page() -> impl IntoResponse {
    static POLICY: LazyLock<String> = LazyLock::new(|| policy(PAGE));
    ([(CONTENT_SECURITY_POLICY, POLICY.as_str())], Html(PAGE))
}

/// What a browser may do with `page`.
fn policy(page: &str) -> String {
    let script = hash(inside(page, "script"));
    let style = hash(inside(page, "style"));
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// What stands in the first element of that name.
fn inside<'a>(page: &'a str, element: &str) -> &'a str {
    let from = page.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    from.split_once(&format!("</{element}>")).map_or("", |(text, _)| text)
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

const PAGE: &str = include_str!("page.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_what_stands_inside() {
        // `printf 'abc' | openssl dgst -sha256 -binary | base64`, and the same of nothing.
        let page = "<style>abc</style><p><script></script>";
        let says = policy(page);
        let style = "style-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='";
        let script = "script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";
        assert!(says.contains(style) && says.contains(script), "{says}");
    }

    #[test]
    fn one_script_and_one_style_are_all_that_the_page_runs_and_applies() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert!(inside(PAGE, element).len() > 1_000, "{element}");
        }
        let markup = PAGE.split("<style>").next().unwrap_or_default().to_owned()
            + PAGE.split("</style>").nth(1).and_then(|rest| rest.split("<script>").next()).unwrap();
        for attribute in [" style=", " src=", " onclick=", " onload=", " action="] {
            assert!(!markup.contains(attribute), "{attribute}");
        }
    }

    /// Names and addresses of tokens are anybody's: they must never become markup or code.
    #[test]
    fn the_script_makes_no_markup_and_no_code_of_text() {
        let script = inside(PAGE, "script");
        let banned = "innerHTML outerHTML insertAdjacentHTML document.write DOMParser srcdoc eval( \
                      Function( setHTML createContextualFragment javascript:";
        for word in banned.split_whitespace() {
            assert!(!script.contains(word), "{word}");
        }
    }
}
