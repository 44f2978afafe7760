//! The definitions in a text: functions, types, constants, keys; found by its language's grammar.
//!
//! A text with errors gives what can be made out. One that takes too long gives what was found by then: nothing here
//! may hold up the index.

use crate::languages::{self, Defines, KNOWN, Place};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tree_sitter::{Node, ParseOptions, Parser, Tree};

/// A larger text is data, or made by a program.
const LARGEST: usize = 512 << 10;
/// A file of more definitions is made by a program.
const MOST: usize = 2_000;
/// A longer name is none.
const LONGEST_NAME: usize = 120;
/// What parsing one file may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Symbol {
    pub name: String,
    /// What it is, for people: `function`, `struct`.
    pub what: String,
    /// First and last line, 1-based and inclusive.
    pub lines: [u32; 2],
}

/// The definitions in a text by its file's name: name, first and last line (1-based, inclusive).
pub fn outline(path: &str, text: &str) -> Vec<(String, [u32; 2])> {
    symbols(path, text).into_iter().map(|symbol| (symbol.name, symbol.lines)).collect()
}

/// Whether the language of a file is known.
pub(crate) fn has_grammar(path: &str) -> bool {
    languages::of(path).is_some()
}

/// The definitions in the text of a file, in its order.
pub(crate) fn symbols(path: &str, text: &str) -> Vec<Symbol> {
    let Some(at) = languages::of(path).filter(|_| text.len() <= LARGEST) else { return Vec::new() };
    WORKERS.with_borrow_mut(|workers| {
        let worker = workers.entry(at).or_insert_with(|| Worker::of(at));
        worker.as_mut().map(|worker| worker.symbols(text)).unwrap_or_default()
    })
}

thread_local! {
    /// A parser for each language that was met by this thread.
    static WORKERS: RefCell<HashMap<usize, Option<Worker>>> = RefCell::default();
}

struct Worker {
    parser: Parser,
    /// By the number of a node's kind.
    kinds: Vec<Kind>,
}

/// What matters about a kind of node.
#[derive(Clone, Copy, Default)]
struct Kind {
    defines: Option<&'static Defines>,
    /// Whether what is inside is local.
    function: bool,
}

impl Worker {
    /// `None` where the grammar does not fit the library, which a test rules out.
    fn of(at: usize) -> Option<Self> {
        let known = KNOWN.get(at)?;
        let grammar = (known.grammar)();
        let mut parser = Parser::new();
        parser.set_language(&grammar).ok()?;
        let mut kinds = vec![Kind::default(); grammar.node_kind_count()];
        for (id, slot) in (0u16..).zip(kinds.iter_mut()) {
            let Some(kind) = grammar.node_kind_for_id(id).filter(|_| grammar.node_kind_is_named(id)) else { continue };
            slot.defines = known.defines.iter().find(|defines| defines.node == kind);
            slot.function = FUNCTIONS.contains(&kind);
        }
        Some(Self { parser, kinds })
    }

    fn symbols(&mut self, text: &str) -> Vec<Symbol> {
        let begun = Instant::now();
        let mut patient = |_: &tree_sitter::ParseState| match begun.elapsed() > PATIENCE {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let bytes = text.as_bytes();
        let options = ParseOptions::new().progress_callback(&mut patient);
        let read = &mut |from: usize, _| bytes.get(from..).unwrap_or_default();
        match self.parser.parse_with_options(read, None, Some(options)) {
            Some(tree) => self.walk(&tree, text),
            None => {
                self.parser.reset();
                Vec::new()
            }
        }
    }

    fn walk(&self, tree: &Tree, text: &str) -> Vec<Symbol> {
        let mut found = Vec::new();
        let mut cursor = tree.walk();
        // Ends of the functions, and of the nodes whose kind has levels, that we are inside of.
        let (mut functions, mut levels): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        loop {
            let node = cursor.node();
            functions.retain(|end| *end > node.start_byte());
            levels.retain(|end| *end > node.start_byte());
            let kind = self.kinds.get(usize::from(node.kind_id())).copied().unwrap_or_default();
            if let Some(defines) = kind.defines {
                let counts = match defines.place {
                    Place::Anywhere => true,
                    Place::Outside => functions.is_empty(),
                    Place::OfFunction => value_is_function(node),
                    Place::Level(most) => {
                        levels.push(node.end_byte());
                        levels.len() <= most
                    }
                };
                if let Some(name) = counts.then(|| name(node, text)).flatten() {
                    found.push(Symbol { name, what: defines.what.to_owned(), lines: lines(node) });
                    if found.len() >= MOST {
                        return found;
                    }
                }
            }
            if kind.function {
                functions.push(node.end_byte());
            }
            if cursor.goto_first_child() || cursor.goto_next_sibling() {
                continue;
            }
            loop {
                if !cursor.goto_parent() {
                    return found;
                }
                if cursor.goto_next_sibling() {
                    break;
                }
            }
        }
    }
}

fn lines(node: Node<'_>) -> [u32; 2] {
    let line = |row: usize| u32::try_from(row + 1).unwrap_or(u32::MAX);
    let end = node.end_position();
    let last = if end.column == 0 { end.row.saturating_sub(1).max(node.start_position().row) } else { end.row };
    [line(node.start_position().row), line(last)]
}

/// Nodes whose variables are local.
const FUNCTIONS: &[&str] = &[
    "accessor_declaration",
    "arrow_function",
    "block_statement",
    "closure_expression",
    "compound_statement",
    "constructor_declaration",
    "func_literal",
    "function",
    "function_declaration",
    "function_definition",
    "function_expression",
    "function_item",
    "generator_function_declaration",
    "lambda_expression",
    "local_function_statement",
    "method",
    "method_declaration",
    "method_definition",
    "singleton_method",
    "statement_block",
];

fn value_is_function(node: Node<'_>) -> bool {
    let value = node.child_by_field_name("right").or_else(|| node.child_by_field_name("value"));
    value.is_some_and(|value| {
        matches!(value.kind(), "function_expression" | "arrow_function" | "function" | "generator_function" | "class")
    })
}

/// The name that a node gives to what it defines.
fn name(node: Node<'_>, text: &str) -> Option<String> {
    let field = |name: &str| node.child_by_field_name(name);
    let named = match node.kind() {
        // `id="name"`
        "attribute" => return html_id(node, text),
        // `impl Trait for Type` defines nothing new; it is found by its type.
        "impl_item" => field("type"),
        "assignment" | "assignment_expression" => field("left").map(last_of_path),
        // A use of a struct is a specifier too, but has no body.
        "struct_specifier" | "union_specifier" | "enum_specifier" | "class_specifier" => {
            field("body").and_then(|_| field("name"))
        }
        "declaration" => field("declarator").and_then(|declarator| function_declarator(declarator)),
        "class_selector" | "id_selector" => {
            node.named_child(u32::try_from(node.named_child_count()).ok()?.checked_sub(1)?)
        }
        "property_element" => node.named_child(0),
        "field_definition" => field("property"),
        _ => field("name").or_else(|| field("declarator").map(innermost)).or_else(|| field("key")),
    };
    let named = named.or_else(|| match node.kind() {
        "table" | "table_array_element" | "pair" | "keyframes_statement" | "variable_declarator" | "const_element" => {
            node.named_child(0)
        }
        _ => None,
    })?;
    let name = text.get(named.byte_range())?.trim_matches(['"', '\'', '`', '$', ':']).trim();
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('\n');
    // A constant of Ruby; a variable of it is none.
    let constant = node.kind() != "assignment" || named.kind() != "identifier" || !is_ruby(node);
    (fits && constant).then(|| name.to_owned())
}

/// In Ruby's grammar the name of a constant is a node of its own kind.
fn is_ruby(node: Node<'_>) -> bool {
    node.language().id_for_node_kind("singleton_method", true) != 0
}

/// `a.b.c` is called `c`.
fn last_of_path(node: Node<'_>) -> Node<'_> {
    node.child_by_field_name("property").or_else(|| node.child_by_field_name("attribute")).unwrap_or(node)
}

/// What stands inside the pointers, references, arrays and parameters of a declarator.
fn innermost(mut node: Node<'_>) -> Node<'_> {
    for _ in 0..16 {
        let inner = node.child_by_field_name("declarator").or_else(|| node.child_by_field_name("name"));
        let inner = inner.or_else(|| match node.kind() {
            "reference_declarator" | "parenthesized_declarator" => node.named_child(0),
            _ => None,
        });
        match inner {
            Some(inner) => node = inner,
            None => break,
        }
    }
    node
}

/// The name of a function that is declared; of a variable, too.
fn function_declarator(declarator: Node<'_>) -> Option<Node<'_>> {
    let name = innermost(declarator);
    matches!(name.kind(), "identifier" | "field_identifier" | "qualified_identifier" | "type_identifier")
        .then_some(name)
}

fn html_id(node: Node<'_>, text: &str) -> Option<String> {
    let part = |at: u32| node.named_child(at).and_then(|child| text.get(child.byte_range()));
    let id = part(0).filter(|name| *name == "id").and_then(|_| part(1))?.trim_matches(['"', '\'']);
    (!id.is_empty() && id.len() <= LONGEST_NAME).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> String {
        let symbols = symbols(path, text);
        symbols
            .iter()
            .map(|s| format!("{} {}:{}-{}", s.what, s.name, s.lines[0], s.lines[1]))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn definitions_of_rust() {
        let text = "mod inner {\n    pub struct A { field: u8 }\n    enum E { One }\n}\nimpl A {\n    const N: u8 = 1;\n    fn go(&self) {\n        let local = 1;\n    }\n}\nmacro_rules! mac { () => {} }\ntrait T { type Out; fn sig(); }\n";
        insta::assert_snapshot!(found("a.rs", text), @r"
        module inner:1-4
        struct A:2-2
        field field:2-2
        enum E:3-3
        variant One:3-3
        impl A:5-10
        constant N:6-6
        function go:7-9
        macro mac:11-11
        trait T:12-12
        type Out:12-12
        function sig:12-12
        ");
    }

    #[test]
    fn definitions_of_python() {
        let text = "LIMIT = 3\nclass A(B):\n    attribute = 1\n    def go(self):\n        local = 2\n        def inner(): pass\nasync def later():\n    pass\n";
        insta::assert_snapshot!(found("a.py", text), @r"
        variable LIMIT:1-1
        class A:2-6
        variable attribute:3-3
        function go:4-6
        function inner:6-6
        function later:7-8
        ");
    }

    #[test]
    fn definitions_of_javascript() {
        let text = "const top = 1, arrow = () => { const local = 2; };\nfunction f() {}\nclass A { m() {} static field = 1; }\nexports.later = function () {};\nA.prototype.go = () => 1;\nmodule.exports = { a: 1, handler: function () {} };\n";
        insta::assert_snapshot!(found("a.js", text), @r"
        variable top:1-1
        variable arrow:1-1
        function f:2-2
        class A:3-3
        method m:3-3
        field field:3-3
        function later:4-4
        function go:5-5
        function handler:6-6
        ");
    }

    #[test]
    fn definitions_of_typescript() {
        let text = "export interface I { m(): void }\ntype T = string;\nenum E { A }\nnamespace N { export function f(): void {} }\nabstract class C { private x = 1; abstract go(): void; }\nexport const c: T = '';\n";
        insta::assert_snapshot!(found("a.ts", text), @r"
        interface I:1-1
        method m:1-1
        type T:2-2
        enum E:3-3
        namespace N:4-4
        function f:4-4
        class C:5-5
        field x:5-5
        method go:5-5
        variable c:6-6
        ");
        assert_eq!(found("a.tsx", "const View = () => <div id=\"x\" />;\n"), "variable View:1-1");
    }

    #[test]
    fn definitions_of_go() {
        let text = "package p\n\ntype S struct {\n\tField int\n}\n\nfunc (s *S) Method() {\n\tvar local = 1\n}\n\nfunc F() {}\n\nconst C = 1\nvar V = 2\n\ntype I interface{ Do() }\n";
        insta::assert_snapshot!(found("a.go", text), @r"
        type S:3-5
        field Field:4-4
        method Method:7-9
        function F:11-11
        constant C:13-13
        variable V:14-14
        type I:16-16
        method Do:16-16
        ");
    }

    #[test]
    fn definitions_of_java() {
        let text = "class A {\n  private int field = 1;\n  A() {}\n  void go() { int local = 1; }\n  enum E { ONE }\n}\ninterface I { void sig(); }\nrecord R(int a) {}\n@interface An {}\n";
        insta::assert_snapshot!(found("A.java", text), @r"
        class A:1-6
        field field:2-2
        constructor A:3-3
        method go:4-4
        enum E:5-5
        constant ONE:5-5
        interface I:7-7
        method sig:7-7
        record R:8-8
        annotation An:9-9
        ");
    }

    #[test]
    fn definitions_of_c() {
        let text = "#define LIMIT 1\n#define MAC(x) (x)\ntypedef struct point { int x; } point_t;\nenum color { RED };\nint declared(void);\nstatic char *go(int a) {\n  int local = 1;\n  return 0;\n}\nint global = 1;\n";
        insta::assert_snapshot!(found("a.c", text), @r"
        macro LIMIT:1-1
        macro MAC:2-2
        type point_t:3-3
        struct point:3-3
        enum color:4-4
        constant RED:4-4
        declaration declared:5-5
        function go:6-9
        declaration global:10-10
        ");
    }

    #[test]
    fn definitions_of_cpp() {
        let text = "namespace n {\nclass A {\n public:\n  A();\n  int& ref() { return x; }\n  int x;\n};\n}\nvoid n::A::go() { int local; }\nusing T = int;\ntemplate <typename U> U make() { return U(); }\n";
        insta::assert_snapshot!(found("a.cpp", text), @r"
        namespace n:1-8
        class A:2-7
        declaration A:4-4
        function ref:5-5
        function go:9-9
        type T:10-10
        function make:11-11
        ");
    }

    #[test]
    fn definitions_of_c_sharp() {
        let text = "namespace N {\n  class A {\n    private int field = 1;\n    public int Prop { get; set; }\n    public A() {}\n    void Go() { var local = 1; }\n  }\n  interface I {}\n  enum E { One }\n  record R(int A);\n}\n";
        insta::assert_snapshot!(found("a.cs", text), @r"
        namespace N:1-11
        class A:2-7
        field field:3-3
        property Prop:4-4
        constructor A:5-5
        method Go:6-6
        interface I:8-8
        enum E:9-9
        constant One:9-9
        record R:10-10
        ");
    }

    #[test]
    fn definitions_of_ruby() {
        let text = "module M\n  LIMIT = 1\n  class A < B\n    def go\n      local = 1\n    end\n    def self.make; end\n  end\nend\nvariable = 2\n";
        insta::assert_snapshot!(found("a.rb", text), @r"
        module M:1-9
        constant LIMIT:2-2
        class A:3-8
        method go:4-6
        method make:7-7
        ");
    }

    #[test]
    fn definitions_of_php() {
        let text = "<?php\nnamespace N;\nconst LIMIT = 1;\ninterface I {}\ntrait T {}\nclass A {\n  const C = 1;\n  private $field;\n  public function go() { $local = 1; }\n}\nfunction f() {}\nenum E { case One; }\n";
        insta::assert_snapshot!(found("a.php", text), @r"
        constant LIMIT:3-3
        interface I:4-4
        trait T:5-5
        class A:6-10
        constant C:7-7
        property field:8-8
        method go:9-9
        function f:11-11
        enum E:12-12
        constant One:12-12
        ");
    }

    #[test]
    fn definitions_of_shell_pages_and_data() {
        assert_eq!(
            found("a.sh", "LIMIT=1\ngo() {\n  local x=2\n  y=3\n}\nfunction other { :; }\n"),
            "variable LIMIT:1-1\nfunction go:2-5\nfunction other:6-6"
        );
        assert_eq!(found("a.html", "<div id=\"main\" class=\"c\"><p id='p'></p></div>\n"), "id main:1-1\nid p:1-1");
        assert_eq!(
            found("a.css", ".box > #one { color: red }\n@keyframes spin { }\n"),
            "class box:1-1\nid one:1-1\nkeyframes spin:2-2"
        );
        assert_eq!(
            found("a.toml", "name = 1\n[package]\nversion = 2\n[[bin]]\npath = 3\n"),
            "key name:1-1\ntable package:2-3\nkey version:3-3\ntable bin:4-5\nkey path:5-5"
        );
        assert_eq!(
            found("a.yaml", "on:\n  push:\n    branches: [main]\njobs: 1\n"),
            "key on:1-3\nkey push:2-3\nkey jobs:4-4"
        );
        assert_eq!(
            found("a.json", "{\"scripts\": {\"test\": {\"deep\": 1}}, \"name\": 2}\n"),
            "key scripts:1-1\nkey test:1-1\nkey name:1-1"
        );
    }

    #[test]
    fn a_text_with_errors_gives_what_can_be_made_out() {
        let text = "fn good() {}\nfn bad( {{{ \nstruct S;\n}}}} fn more() {}";
        assert!(found("a.rs", text).starts_with("function good:1-1"));
        for path in [
            "a.rs", "a.py", "a.js", "a.ts", "a.tsx", "a.go", "A.java", "a.c", "a.cpp", "a.cs", "a.rb", "a.php", "a.sh",
            "a.html", "a.css", "a.toml", "a.yaml", "a.json",
        ] {
            for text in ["", "\u{feff}", "((((((", "\"", "é\u{0}ü", "}\n}\n", &"(".repeat(5_000)] {
                let _ = symbols(path, text);
            }
        }
    }

    #[test]
    fn unknown_and_very_large_files_have_none() {
        assert_eq!(symbols("a.unknown", "fn a() {}"), []);
        assert_eq!(symbols("a.rs", &"fn a() {}\n".repeat(60_000)), []);
        assert_eq!(symbols("a.rs", &"fn a() {}\n".repeat(5_000)).len(), MOST);
    }
}
