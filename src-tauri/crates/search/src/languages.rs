//! The programming languages whose definitions are known: their grammars, and which nodes of a syntax tree define.
//!
//! Tables, no code: a language is added by its grammar and a list of node kinds. Kinds a grammar does not have are a
//! failed test, so that a newer grammar cannot silently lose definitions.

use tree_sitter::Language;

/// What a node that defines something is called, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defines {
    /// The node's kind in the grammar.
    pub node: &'static str,
    /// What it defines, for people.
    pub what: &'static str,
    /// Where it counts.
    pub place: Place,
}

/// Where a definition counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Anywhere,
    /// Not inside a function, where it is a local variable.
    Outside,
    /// Only where its value is a function or class.
    OfFunction,
    /// At most so many levels of the same kind deep: keys of data.
    Level(usize),
}

/// A language by its files.
pub(crate) struct Known {
    /// Its name, for whoever reads this table and its tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "a failed test names the language"))]
    pub name: &'static str,
    /// Endings of its files' names, without the dot.
    pub endings: &'static [&'static str],
    pub grammar: fn() -> Language,
    pub defines: &'static [Defines],
}

const fn any(node: &'static str, what: &'static str) -> Defines {
    Defines { node, what, place: Place::Anywhere }
}
const fn outside(node: &'static str, what: &'static str) -> Defines {
    Defines { node, what, place: Place::Outside }
}
const fn of_function(node: &'static str, what: &'static str) -> Defines {
    Defines { node, what, place: Place::OfFunction }
}
const fn key(node: &'static str, levels: usize) -> Defines {
    Defines { node, what: "key", place: Place::Level(levels) }
}

const JAVASCRIPT: &[Defines] = &[
    any("function_declaration", "function"),
    any("generator_function_declaration", "function"),
    any("class_declaration", "class"),
    any("method_definition", "method"),
    any("field_definition", "field"),
    outside("variable_declarator", "variable"),
    of_function("assignment_expression", "function"),
    of_function("pair", "function"),
];

const TYPESCRIPT: &[Defines] = &[
    any("function_declaration", "function"),
    any("generator_function_declaration", "function"),
    any("function_signature", "function"),
    any("class_declaration", "class"),
    any("abstract_class_declaration", "class"),
    any("method_definition", "method"),
    any("method_signature", "method"),
    any("abstract_method_signature", "method"),
    any("public_field_definition", "field"),
    any("interface_declaration", "interface"),
    any("type_alias_declaration", "type"),
    any("enum_declaration", "enum"),
    any("internal_module", "namespace"),
    any("module", "namespace"),
    outside("variable_declarator", "variable"),
    of_function("assignment_expression", "function"),
    of_function("pair", "function"),
];

const C: &[Defines] = &[
    any("function_definition", "function"),
    outside("declaration", "declaration"),
    any("struct_specifier", "struct"),
    any("union_specifier", "union"),
    any("enum_specifier", "enum"),
    any("enumerator", "constant"),
    any("type_definition", "type"),
    any("preproc_def", "macro"),
    any("preproc_function_def", "macro"),
];

/// All of them.
pub(crate) static KNOWN: &[Known] = &[
    Known {
        name: "Rust",
        endings: &["rs"],
        grammar: || tree_sitter_rust::LANGUAGE.into(),
        defines: &[
            any("function_item", "function"),
            any("function_signature_item", "function"),
            any("struct_item", "struct"),
            any("enum_item", "enum"),
            any("enum_variant", "variant"),
            any("union_item", "union"),
            any("trait_item", "trait"),
            any("type_item", "type"),
            any("associated_type", "type"),
            any("mod_item", "module"),
            any("const_item", "constant"),
            any("static_item", "static"),
            any("macro_definition", "macro"),
            any("impl_item", "impl"),
            any("field_declaration", "field"),
        ],
    },
    Known {
        name: "Python",
        endings: &["py", "pyi"],
        grammar: || tree_sitter_python::LANGUAGE.into(),
        defines: &[
            any("function_definition", "function"),
            any("class_definition", "class"),
            outside("assignment", "variable"),
        ],
    },
    Known {
        name: "JavaScript",
        endings: &["js", "jsx", "mjs", "cjs"],
        grammar: || tree_sitter_javascript::LANGUAGE.into(),
        defines: JAVASCRIPT,
    },
    Known {
        name: "TypeScript",
        endings: &["ts", "mts", "cts"],
        grammar: || tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
        defines: TYPESCRIPT,
    },
    Known {
        name: "TSX",
        endings: &["tsx"],
        grammar: || tree_sitter_typescript::LANGUAGE_TSX.into(),
        defines: TYPESCRIPT,
    },
    Known {
        name: "Go",
        endings: &["go"],
        grammar: || tree_sitter_go::LANGUAGE.into(),
        defines: &[
            any("function_declaration", "function"),
            any("method_declaration", "method"),
            any("method_elem", "method"),
            any("type_spec", "type"),
            any("type_alias", "type"),
            any("field_declaration", "field"),
            outside("const_spec", "constant"),
            outside("var_spec", "variable"),
        ],
    },
    Known {
        name: "Java",
        endings: &["java"],
        grammar: || tree_sitter_java::LANGUAGE.into(),
        defines: &[
            any("class_declaration", "class"),
            any("interface_declaration", "interface"),
            any("enum_declaration", "enum"),
            any("enum_constant", "constant"),
            any("record_declaration", "record"),
            any("annotation_type_declaration", "annotation"),
            any("method_declaration", "method"),
            any("constructor_declaration", "constructor"),
            any("field_declaration", "field"),
        ],
    },
    Known { name: "C", endings: &["c", "h"], grammar: || tree_sitter_c::LANGUAGE.into(), defines: C },
    Known {
        name: "C++",
        endings: &["cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "ipp", "inl"],
        grammar: || tree_sitter_cpp::LANGUAGE.into(),
        defines: &[
            any("function_definition", "function"),
            outside("declaration", "declaration"),
            any("class_specifier", "class"),
            any("struct_specifier", "struct"),
            any("union_specifier", "union"),
            any("enum_specifier", "enum"),
            any("enumerator", "constant"),
            any("type_definition", "type"),
            any("alias_declaration", "type"),
            any("concept_definition", "concept"),
            any("namespace_definition", "namespace"),
            any("preproc_def", "macro"),
            any("preproc_function_def", "macro"),
        ],
    },
    Known {
        name: "C#",
        endings: &["cs"],
        grammar: || tree_sitter_c_sharp::LANGUAGE.into(),
        defines: &[
            any("class_declaration", "class"),
            any("struct_declaration", "struct"),
            any("interface_declaration", "interface"),
            any("enum_declaration", "enum"),
            any("enum_member_declaration", "constant"),
            any("record_declaration", "record"),
            any("delegate_declaration", "delegate"),
            any("method_declaration", "method"),
            any("constructor_declaration", "constructor"),
            any("property_declaration", "property"),
            any("local_function_statement", "function"),
            any("namespace_declaration", "namespace"),
            outside("variable_declarator", "field"),
        ],
    },
    Known {
        name: "Ruby",
        endings: &["rb", "rake", "gemspec"],
        grammar: || tree_sitter_ruby::LANGUAGE.into(),
        defines: &[
            any("method", "method"),
            any("singleton_method", "method"),
            any("class", "class"),
            any("module", "module"),
            outside("assignment", "constant"),
        ],
    },
    Known {
        name: "PHP",
        endings: &["php"],
        grammar: || tree_sitter_php::LANGUAGE_PHP.into(),
        defines: &[
            any("function_definition", "function"),
            any("method_declaration", "method"),
            any("class_declaration", "class"),
            any("interface_declaration", "interface"),
            any("trait_declaration", "trait"),
            any("enum_declaration", "enum"),
            any("enum_case", "constant"),
            any("const_element", "constant"),
            any("property_element", "property"),
        ],
    },
    Known {
        name: "Bash",
        endings: &["sh", "bash"],
        grammar: || tree_sitter_bash::LANGUAGE.into(),
        defines: &[any("function_definition", "function"), outside("variable_assignment", "variable")],
    },
    Known {
        name: "HTML",
        endings: &["html", "htm"],
        grammar: || tree_sitter_html::LANGUAGE.into(),
        defines: &[any("attribute", "id")],
    },
    Known {
        name: "CSS",
        endings: &["css"],
        grammar: || tree_sitter_css::LANGUAGE.into(),
        defines: &[any("class_selector", "class"), any("id_selector", "id"), any("keyframes_statement", "keyframes")],
    },
    Known {
        name: "TOML",
        endings: &["toml"],
        grammar: || tree_sitter_toml_ng::LANGUAGE.into(),
        defines: &[any("table", "table"), any("table_array_element", "table"), key("pair", 1)],
    },
    Known {
        name: "YAML",
        endings: &["yaml", "yml"],
        grammar: || tree_sitter_yaml::LANGUAGE.into(),
        defines: &[key("block_mapping_pair", 2)],
    },
    Known {
        name: "JSON",
        endings: &["json"],
        grammar: || tree_sitter_json::LANGUAGE.into(),
        defines: &[key("pair", 2)],
    },
];

/// The place in [`KNOWN`] of the language of a file.
pub(crate) fn of(path: &str) -> Option<usize> {
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    KNOWN.iter().position(|known| known.endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_node_is_one_that_the_grammar_has() {
        for known in KNOWN {
            let grammar = (known.grammar)();
            for Defines { node, .. } in known.defines {
                assert_ne!(grammar.id_for_node_kind(node, true), 0, "{} has no `{node}`", known.name);
            }
        }
    }

    #[test]
    fn no_ending_belongs_to_two_languages() {
        let mut seen = std::collections::HashSet::new();
        for ending in KNOWN.iter().flat_map(|known| known.endings) {
            assert!(seen.insert(ending), "{ending}");
            assert!(of(&format!("a/b.{ending}")).is_some());
        }
        assert_eq!(of("Makefile"), None);
        assert_eq!(of("a.d/rs"), None);
    }
}
