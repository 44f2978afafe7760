//! What a figure must hold and what it aims at, said beside it.

use serde_json::{Map, Value, json};

/// A figure's place in the JSON of a bench, its name, and its bounds.
pub struct Goal {
    /// Where it is: a JSON pointer (RFC 6901).
    pub at: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What it must hold.
    pub hold: f64,
    /// What it aims at.
    pub aim: Option<f64>,
    /// Whether more is better.
    pub more: bool,
}

impl Goal {
    /// A figure of which less is better.
    pub const fn most(at: &'static str, name: &'static str, hold: f64, aim: Option<f64>) -> Self {
        Self { at, name, hold, aim, more: false }
    }

    /// A figure of which more is better.
    pub const fn least(at: &'static str, name: &'static str, hold: f64, aim: Option<f64>) -> Self {
        Self { at, name, hold, aim, more: true }
    }

    /// `aim`, `hold` or `missed`.
    fn verdict(&self, value: f64) -> &'static str {
        let within = |bound: f64| if self.more { value >= bound } else { value <= bound };
        match self.aim {
            Some(aim) if within(aim) => "aim",
            _ if within(self.hold) => "hold",
            _ => "missed",
        }
    }
}

/// Prints each goal beside its figure, and gives the verdicts for the record.
pub fn told(goals: &[Goal], figures: &Value) -> Value {
    let mut verdicts = Map::new();
    println!("\n{:<44} {:>10} {:>10} {:>10}  reached", "figure", "value", "hold", "aim");
    for goal in goals {
        let value = figures.pointer(goal.at).and_then(Value::as_f64);
        let verdict = value.map_or("not measured", |value| goal.verdict(value));
        let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
        println!(
            "{:<44} {:>10} {:>10} {:>10}  {verdict}",
            goal.name,
            number(value),
            number(Some(goal.hold)),
            number(goal.aim)
        );
        verdicts.insert(goal.name.to_owned(), json!(verdict));
    }
    Value::Object(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_reaches_its_aim_or_its_hold_or_misses_both() {
        const GOALS: &[Goal] = &[
            Goal::most("/ms/p50", "query", 20.0, Some(5.0)),
            Goal::least("/hits", "hits", 0.8, Some(0.9)),
            Goal::most("/ratio", "ratio", 1.0, None),
            Goal::most("/gone", "gone", 1.0, None),
        ];
        let figures = json!({"ms": {"p50": 4.0}, "hits": 0.85, "ratio": 1.2});
        let told = told(GOALS, &figures);
        assert_eq!(told, json!({"query": "aim", "hits": "hold", "ratio": "missed", "gone": "not measured"}));
    }
}
