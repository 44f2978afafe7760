//! What a model is asked when it is measured: tool tasks, edits of small files, and long texts with two marks.
//!
//! Every task has one right answer that code can judge. The tasks are the same everywhere, so that cards compare.

use atelier_edit::Format;
use atelier_models::ToolSpec;
use serde_json::{Value, json};

/// A question that one tool answers.
pub(super) struct ToolTask {
    /// The question.
    pub asks: &'static str,
    /// The tool that answers it.
    pub tool: &'static str,
    /// An argument of the right call, and what it must hold.
    pub argument: (&'static str, &'static str),
    /// What the tool answers.
    pub answers: &'static str,
    /// What only who has read the tool's answer can say.
    pub proof: &'static str,
}

/// The tool tasks.
pub(super) const TOOL_TASKS: [ToolTask; 6] = [
    ToolTask {
        asks: "Which code word stands in the file `notes/harbour.txt`?",
        tool: "read_file",
        argument: ("path", "notes/harbour.txt"),
        answers: "Harbour log, third week.\nThe code word is MARIGOLD-41.\n",
        proof: "MARIGOLD-41",
    },
    ToolTask {
        asks: "Which file is in the folder `plans`?",
        tool: "list_files",
        argument: ("folder", "plans"),
        answers: "plans/otter-bridge.md\n",
        proof: "otter-bridge",
    },
    ToolTask {
        asks: "In which file is the function `raise_lantern` defined?",
        tool: "search",
        argument: ("query", "raise_lantern"),
        answers: "src/dockyard.rs:12: fn raise_lantern(at: u32) {\n",
        proof: "dockyard",
    },
    ToolTask {
        asks: "How many problems does the check `lint` find at the moment?",
        tool: "run_check",
        argument: ("name", "lint"),
        answers: "lint failed: 17 problems\n",
        proof: "17",
    },
    ToolTask {
        asks: "Write the line `hello` into the file `out/greeting.txt`, and tell me the receipt that writing gives.",
        tool: "write_file",
        argument: ("path", "out/greeting.txt"),
        answers: "written; receipt K-88\n",
        proof: "K-88",
    },
    ToolTask {
        asks: "What is the value of `most` in `data/limits.json`?",
        tool: "read_file",
        argument: ("path", "data/limits.json"),
        answers: "{\"least\": 12, \"most\": 5291}\n",
        proof: "5291",
    },
];

/// The tools that are offered with each tool task.
pub(super) fn tools() -> Vec<ToolSpec> {
    let tool = |name: &str, description: &str, arguments: &[(&str, &str)]| {
        let properties: serde_json::Map<String, Value> = arguments
            .iter()
            .map(|(name, about)| ((*name).to_owned(), json!({"type": "string", "description": about})))
            .collect();
        let required: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
        ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: json!({"type": "object", "properties": properties, "required": required}),
        }
    };
    vec![
        tool("read_file", "Reads a file of the project.", &[("path", "the file's path")]),
        tool("list_files", "Lists the files of a folder.", &[("folder", "the folder's path")]),
        tool("search", "Finds text in all files of the project.", &[("query", "what to find")]),
        tool("run_check", "Runs a check of the project.", &[("name", "the check's name")]),
        tool(
            "write_file",
            "Writes a whole file of the project.",
            &[("path", "the file's path"), ("text", "its content")],
        ),
    ]
}

/// A change of a small file.
pub(super) struct EditTask {
    /// The file.
    pub path: &'static str,
    /// What is in it.
    pub before: &'static str,
    /// What is asked.
    pub asks: &'static str,
    /// What it must be then.
    pub after: &'static str,
}

/// The edits.
pub(super) const EDIT_TASKS: [EditTask; 3] = [
    EditTask {
        path: "greet.py",
        before: "def greet(name):\n    return \"Hello, \" + name\n\n\ndef part(name):\n    return \"Bye, \" + name\n",
        asks: "In `greet`, say `Welcome, ` instead of `Hello, `.",
        after: "def greet(name):\n    return \"Welcome, \" + name\n\n\ndef part(name):\n    return \"Bye, \" + name\n",
    },
    EditTask {
        path: "src/limits.rs",
        before: "pub const LEAST: u32 = 4;\npub const MOST: u32 = 64;\npub const USUAL: u32 = 16;\n",
        asks: "Remove the line that declares `USUAL`, and set `MOST` to 128.",
        after: "pub const LEAST: u32 = 4;\npub const MOST: u32 = 128;\n",
    },
    EditTask {
        path: "menu.txt",
        before: "soup\nbread\ntea\n",
        asks: "Add the line `cake` between `bread` and `tea`.",
        after: "soup\nbread\ncake\ntea\n",
    },
];

/// The formats that are measured, those that are preferred where a model gets several right first.
pub(super) const FORMATS: [Format; 6] = [
    Format::SearchReplace,
    Format::WholeFile,
    Format::HunkList,
    Format::UnifiedDiff,
    Format::ApplyPatch,
    Format::LineRange,
];

impl EditTask {
    /// The question, with the file as the format needs to see it.
    pub(super) fn question(&self, format: Format) -> String {
        let numbered = |text: &str| -> String {
            text.lines().enumerate().map(|(n, line)| format!("{:>3} {line}\n", n + 1)).collect()
        };
        let (shown, about) = match format {
            Format::LineRange => (numbered(self.before), " Its lines are numbered; the numbers are not in the file."),
            _ => (self.before.to_owned(), ""),
        };
        format!(
            "This is the file `{}`.{about}\n\n```\n{shown}```\n\n{}\n\nAnswer with the edit only, in this form. {}",
            self.path,
            self.asks,
            format.shape()
        )
    }

    /// Whether an answer makes exactly the change.
    pub(super) fn is_right(&self, format: Format, answer: &str) -> bool {
        let Ok(edits) = atelier_edit::parse(format, answer) else { return false };
        let read = |path: &str| Ok((path == self.path).then(|| self.before.as_bytes().to_vec()));
        let Ok(changes) = atelier_edit::apply(read, &edits) else { return false };
        let [change] = changes.files.as_slice() else { return false };
        change.path == self.path && change.after.as_deref() == Some(self.after.as_bytes())
    }
}

/// A text of about so many tokens with a mark at its beginning and one at its end, and the two marks.
pub(super) fn long_text(tokens: u32) -> (String, [String; 2]) {
    let marks = [format!("HERON-{}", tokens % 89 + 10), format!("ANCHOR-{}", tokens % 83 + 11)];
    // The size stands first, so that no server finds the beginning of another text in its cache.
    let mut text = format!("Survey of {tokens} plots. The first mark is {}.\n", marks[0]);
    let mut plot = 0;
    // Such a line is 14 to 20 tokens; the server says what it really read.
    while text.len() < tokens as usize * 4 {
        plot += 1;
        text.push_str(&format!("Plot {plot}: the ground is even, and nothing of note was found here.\n"));
    }
    text.push_str(&format!("The last mark is {}.\n\nName the first mark and the last mark of this survey.", marks[1]));
    (text, marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards: a card says what is so. A task that nobody can get right, or everybody, would make every card wrong.
    #[test]
    fn the_right_answer_of_an_edit_task_is_right_in_every_format_and_nothing_else_is() {
        let cake = &EDIT_TASKS[2];
        let diff = "--- a/menu.txt\n+++ b/menu.txt\n@@ -1,3 +1,4 @@\n soup\n bread\n+cake\n tea\n";
        let patch = "*** Begin Patch\n*** Update File: menu.txt\n@@\n soup\n bread\n+cake\n tea\n*** End Patch\n";
        let answers = [
            (Format::SearchReplace, "menu.txt\n<<<<<<< SEARCH\ntea\n=======\ncake\ntea\n>>>>>>> REPLACE\n"),
            (Format::WholeFile, "menu.txt\n```\nsoup\nbread\ncake\ntea\n```\n"),
            (Format::HunkList, r#"{"edits":[{"path":"menu.txt","search":"tea\n","replace":"cake\ntea\n"}]}"#),
            (Format::UnifiedDiff, diff),
            (Format::ApplyPatch, patch),
            (Format::LineRange, r#"{"edits":[{"path":"menu.txt","start":3,"end":2,"text":"cake\n"}]}"#),
        ];
        assert_eq!(answers.map(|(format, _)| format), FORMATS);
        for (format, answer) in answers {
            assert!(cake.is_right(format, answer), "{format}: {answer}");
            for wrong in [answer.replace("cake", "cakes"), "I have made the change.".to_owned()] {
                assert!(!cake.is_right(format, &wrong), "{format}: {wrong}");
            }
            assert!(cake.question(format).contains(cake.asks));
        }
        for task in &EDIT_TASKS {
            let whole = |text: &str| format!("{}\n```\n{text}```\n", task.path);
            assert!(task.is_right(Format::WholeFile, &whole(task.after)));
            assert!(!task.is_right(Format::WholeFile, &whole(task.before)));
        }
    }

    #[test]
    fn a_long_text_is_about_as_long_as_was_asked_and_holds_both_marks() {
        let (text, marks) = long_text(2000);
        assert!((8000..8400).contains(&text.len()));
        assert!(marks.iter().all(|mark| text.matches(mark.as_str()).count() == 1) && marks[0] != marks[1]);
    }
}
