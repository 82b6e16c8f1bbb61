//! Which paths a source file names: in its `use` lines, in its code, in its macros and attributes.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::files;

/// What stands for `async` and `.await` among the paths.
pub(crate) const ASYNC: &str = "async";

/// The paths that a file names outside its tests, such as `platform::http::Json`. What begins with `self` or `super`
/// is given from `crate` on.
pub(crate) fn paths(file: &Path, source_root: &Path) -> BTreeSet<String> {
    let parsed = syn::parse_file(&files::read(file))
        .unwrap_or_else(|error| panic!("{}: {error}", files::shown(file)));
    let mut seen = Paths {
        module: module_of(file, source_root),
        found: BTreeSet::new(),
    };
    seen.visit_file(&parsed);
    seen.found
}

/// `src/http/order.rs` is `crate::http::order`.
fn module_of(file: &Path, source_root: &Path) -> Vec<String> {
    let inside = file
        .strip_prefix(source_root)
        .expect("a file below src")
        .with_extension("");
    let mut module = vec!["crate".to_owned()];
    module.extend(
        inside
            .iter()
            .map(|part| part.to_string_lossy().into_owned()),
    );
    if module
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        module.pop();
    }
    module
}

struct Paths {
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Paths {
    fn add(&mut self, segments: &[String]) {
        let mut whole = Vec::new();
        for segment in segments {
            match segment.as_str() {
                "self" if whole.is_empty() => whole.clone_from(&self.module),
                "self" => {}
                "super" => {
                    if whole.is_empty() {
                        whole.clone_from(&self.module);
                    }
                    whole.pop();
                }
                _ => whole.push(segment.clone()),
            }
        }
        self.found.insert(whole.join("::"));
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, before);
                }
            }
            syn::UseTree::Name(name) => self.add_leaf(&name.ident, before),
            syn::UseTree::Rename(rename) => self.add_leaf(&rename.ident, before),
            syn::UseTree::Glob(_) => self.add(before),
        }
    }

    fn add_leaf(&mut self, leaf: &syn::Ident, before: &mut Vec<String>) {
        before.push(leaf.to_string());
        self.add(before);
        before.pop();
    }

    /// The paths in the tokens of a macro or an attribute, which are not parsed.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.flush(&mut path);
                    }
                    colons = 0;
                    path.push(ident.to_string());
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.flush(&mut path);
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.flush(&mut path),
            }
        }
        self.flush(&mut path);
    }

    fn flush(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.add(path);
        }
        path.clear();
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if is_test(&module.attrs) {
            return;
        }
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if segments.len() > 1 {
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        // An attribute of a crate, such as #[serde(…)], is a use of that crate.
        let name: Vec<String> = attribute
            .path()
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.add(&name);
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.found.insert(ASYNC.to_owned());
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, expression: &'ast syn::ExprAsync) {
        self.found.insert(ASYNC.to_owned());
        visit::visit_expr_async(self, expression);
    }

    fn visit_expr_await(&mut self, expression: &'ast syn::ExprAwait) {
        self.found.insert(ASYNC.to_owned());
        visit::visit_expr_await(self, expression);
    }
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let folder = std::env::temp_dir().join(format!("rules-{}", std::process::id()));
    let file = folder.join("http").join("order.rs");
    std::fs::create_dir_all(folder.join("http")).expect("a folder for a moment");
    let text = r#"
        use axum::{Router, routing::{self, get}};
        use super::ticket::show;
        #[derive(serde::Serialize)]
        #[tower(limit)]
        struct Out;
        /// Not a path: rdkafka::producer.
        async fn f() { tracing::info!(at = %platform::clock::Timestamp::now(), "scylla::x"); }
        #[cfg(test)]
        mod tests { use tokio::test; }
    "#;
    std::fs::write(&file, text).expect("a file for a moment");
    let found = paths(&file, &folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    for wanted in [
        "axum::Router",
        "axum::routing",
        "axum::routing::get",
        "crate::http::ticket::show",
        "serde::Serialize",
        "tower",
        "tracing::info",
        "platform::clock::Timestamp::now",
        ASYNC,
    ] {
        assert!(found.contains(wanted), "{wanted} is not in {found:?}");
    }
    for unwanted in ["rdkafka", "scylla", "tokio"] {
        assert!(
            !found.iter().any(|path| path.starts_with(unwanted)),
            "{unwanted} is in {found:?}"
        );
    }
}
