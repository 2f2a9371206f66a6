//! Steps and labels as TRL's stepwise supervision data, on which its process reward models are trained.

use serde::{Deserialize, Serialize};

use super::{Flaw, Record};
use crate::data::{Label, Labels, ResponseClass, Step, StepKind, Steps};

/// A row of stepwise supervision data: a prompt, the steps of a response to it, and whether each is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepwiseRow {
    /// The prompt.
    pub prompt: String,
    /// The response's steps, without what separates them.
    pub completions: Vec<String>,
    /// For each step, whether it is right.
    pub labels: Vec<bool>,
}

impl Record for StepwiseRow {
    fn check(&self) -> Result<(), Flaw> {
        let (steps, labels) = (self.completions.len(), self.labels.len());
        if steps == labels {
            return Ok(());
        }
        Err(Flaw::new("labels", format!("has {labels} labels for {steps} steps: there must be one for each")))
    }
}

/// What becomes of neutral steps, which such rows have no label for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeutralSteps {
    /// A comment is a part of the step behind it, or where there is none of the one before it: so none is rewarded by
    /// itself.
    #[default]
    Joined,
    /// It has the label of the step before it; true at the beginning.
    Inherited,
}

/// How steps become rows and rows become steps.
///
/// A step of a row has no separator at its end: whoever trains on it puts one behind each. Back from a row each
/// step gets it again, the last one included: so of what was written comes what was read, but for a line
/// feed behind a last line that had none.
///
/// ```
/// use pspo::data::{Label, Labels, ResponseClass, Step, StepKind, Steps};
/// use pspo::formats::Stepwise;
///
/// let spans = [(0..4, StepKind::Comment), (4..11, StepKind::Code), (11..17, StepKind::Code)];
/// let steps = spans.map(|(span, kind)| Step { span, kind }).to_vec();
/// let steps = Steps::new("# a\nx = 1\n\ny = 2\n", steps)?;
/// let labels = vec![Label::Neutral, Label::Good, Label::Bad];
/// let labels = Labels { steps: labels, class: ResponseClass::Revised };
/// let row = Stepwise::default().row("Set x.\n", &steps, &labels)?;
/// assert_eq!(row.completions, ["# a\nx = 1\n", "y = 2"]);
/// assert_eq!(row.labels, [true, false]);
/// let (steps, labels) = Stepwise::default().steps(&row)?;
/// assert_eq!(steps.program(), "# a\nx = 1\n\ny = 2\n");
/// assert_eq!(labels.steps, [Label::Good, Label::Bad]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stepwise {
    /// What separates steps, a line feed by default, as TRL's `step_separator`. Where it is empty, each step keeps its
    /// whole text.
    pub separator: String,
    /// What becomes of neutral steps.
    pub neutral: NeutralSteps,
}

impl Default for Stepwise {
    fn default() -> Self {
        Self { separator: "\n".into(), neutral: NeutralSteps::default() }
    }
}

impl Stepwise {
    /// The row of a response's steps and labels.
    ///
    /// # Errors
    /// If there is not one label for each step, none that is not neutral, or a step before the last does not end with
    /// the separator.
    pub fn row(
        &self,
        prompt: impl Into<String>,
        steps: &Steps,
        labels: &Labels,
    ) -> Result<StepwiseRow, Flaw> {
        let (count, given) = (steps.len(), labels.steps.len());
        if count != given {
            let problem = format!("has {given} labels for {count} steps: there must be one for each");
            return Err(Flaw::new("labels", problem));
        }
        let last_labelled = labels.steps.iter().rposition(|&label| label != Label::Neutral);
        let Some(last_labelled) = last_labelled else {
            return Err(Flaw::new("labels", "has none that is good or bad: such a response teaches nothing"));
        };
        let mut row = StepwiseRow { prompt: prompt.into(), completions: Vec::new(), labels: Vec::new() };
        let mut joined = String::new();
        for (place, &label) in labels.steps.iter().enumerate() {
            joined += steps.text(place);
            let good = match (label, self.neutral) {
                (Label::Good, _) => true,
                (Label::Bad, _) => false,
                (Label::Neutral, NeutralSteps::Inherited) => row.labels.last().copied().unwrap_or(true),
                (Label::Neutral, NeutralSteps::Joined) => continue,
            };
            if self.neutral == NeutralSteps::Joined && place == last_labelled {
                (place + 1..count).for_each(|behind| joined += steps.text(behind));
            }
            let end = if self.neutral == NeutralSteps::Joined && place == last_labelled {
                count
            } else {
                place + 1
            };
            let text = match joined.strip_suffix(self.separator.as_str()) {
                Some(text) => text,
                None if end == count => joined.as_str(),
                None => {
                    let problem = format!("does not end with the separator {:?}", self.separator);
                    return Err(Flaw::new(format!("completions[{}]", row.completions.len()), problem));
                }
            };
            row.completions.push(text.to_owned());
            row.labels.push(good);
            joined.clear();
            if end == count {
                break;
            }
        }
        Ok(row)
    }

    /// The steps and labels of a row. All steps are code: a row does not say which are comments. A response is correct
    /// where all its steps are right, wrong where the first is not, and revised otherwise.
    ///
    /// # Errors
    /// If a step is blank, or there is not one label for each.
    pub fn steps(&self, row: &StepwiseRow) -> Result<(Steps, Labels), Flaw> {
        row.check()?;
        let mut program = String::new();
        let mut steps = Vec::with_capacity(row.completions.len());
        for (place, completion) in row.completions.iter().enumerate() {
            if completion.trim().is_empty() {
                return Err(Flaw::new(format!("completions[{place}]"), "is blank: a step must have text"));
            }
            let start = program.len();
            program += completion;
            program += &self.separator;
            steps.push(Step { span: start..program.len(), kind: StepKind::Code });
        }
        let steps =
            Steps::new(program, steps).map_err(|error| Flaw::new("completions", error.to_string()))?;
        let class = match row.labels.iter().position(|right| !right) {
            None => ResponseClass::Correct,
            Some(0) => ResponseClass::Wrong,
            Some(_) => ResponseClass::Revised,
        };
        let label = |&right: &bool| if right { Label::Good } else { Label::Bad };
        Ok((steps, Labels { steps: row.labels.iter().map(label).collect(), class }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good, Neutral};

    fn row(stepwise: &Stepwise, lines: &[&str], labels: &[Label]) -> Result<(Vec<String>, Vec<bool>), Flaw> {
        let mut end = 0;
        let steps = lines.iter().map(|line| {
            let start = end;
            end += line.len();
            Step { span: start..end, kind: StepKind::Code }
        });
        let steps = Steps::new(lines.concat(), steps.collect()).unwrap();
        let labels = Labels { steps: labels.to_vec(), class: ResponseClass::Revised };
        stepwise.row("p", &steps, &labels).map(|row| (row.completions, row.labels))
    }

    #[test]
    fn neutral_steps_are_joined_or_inherit() {
        let lines = ["# a\n", "b\n", "# c\n", "# d\n", "e\n", "\n# f"];
        let labels = [Neutral, Good, Neutral, Neutral, Bad, Neutral];
        let joined = row(&Stepwise::default(), &lines, &labels).unwrap();
        let texts = ["# a\nb", "# c\n# d\ne\n\n# f"].map(str::to_owned).to_vec();
        assert_eq!(joined, (texts, vec![true, false]));
        let inherited = Stepwise { neutral: NeutralSteps::Inherited, ..Stepwise::default() };
        let (texts, marks) = row(&inherited, &lines, &labels).unwrap();
        assert_eq!(texts, ["# a", "b", "# c", "# d", "e", "\n# f"]);
        assert_eq!(marks, [true, true, true, true, false, false]);
        let error = row(&Stepwise::default(), &["# a"], &[Neutral]).unwrap_err().to_string();
        assert!(error.starts_with("the field `labels` has none that is good or bad"), "{error}");
    }

    #[test]
    fn separators_are_taken_off_and_put_back() {
        let lines = ["a;\n", "b;\n", "c"];
        let labels = [Good, Good, Bad];
        for (separator, texts) in
            [("\n", ["a;", "b;", "c"]), (";\n", ["a", "b", "c"]), ("", ["a;\n", "b;\n", "c"])]
        {
            let stepwise = Stepwise { separator: separator.into(), ..Stepwise::default() };
            let (completions, marks) = row(&stepwise, &lines, &labels).unwrap();
            assert_eq!(completions, texts);
            let row = StepwiseRow { prompt: "p".into(), completions, labels: marks };
            let (steps, read) = stepwise.steps(&row).unwrap();
            assert_eq!(steps.program(), lines.concat() + separator);
            assert_eq!((read.steps, read.class), (labels.to_vec(), ResponseClass::Revised));
            assert_eq!(
                stepwise.row("p", &steps, &Labels { steps: labels.to_vec(), class: read.class }),
                Ok(row)
            );
        }
        let stepwise = Stepwise { separator: "\n\n".into(), ..Stepwise::default() };
        let error = row(&stepwise, &lines, &labels).unwrap_err().to_string();
        assert_eq!(error, r#"the field `completions[0]` does not end with the separator "\n\n""#);
    }

    #[test]
    fn rows_are_checked_and_classed() {
        let of = |completions: &[&str], labels: &[bool]| {
            let completions = completions.iter().map(|&text| text.to_owned()).collect();
            Stepwise::default().steps(&StepwiseRow {
                prompt: "p".into(),
                completions,
                labels: labels.to_vec(),
            })
        };
        let class = |labels: &[bool]| of(&vec!["x"; labels.len()], labels).unwrap().1.class;
        assert_eq!(class(&[true, true]), ResponseClass::Correct);
        assert_eq!(class(&[false, true]), ResponseClass::Wrong);
        assert_eq!(class(&[true, false]), ResponseClass::Revised);
        assert!(of(&[], &[]).unwrap().0.is_empty());
        let error = of(&["a", " \n"], &[true, true]).unwrap_err().to_string();
        assert_eq!(error, "the field `completions[1]` is blank: a step must have text");
        assert!(of(&["a"], &[]).is_err());
    }
}
