//! [`Selection`]: which labelled responses the PRM is trained on.

use serde::{Deserialize, Serialize};

use crate::data::{PromptClass, ResponseClass};

/// A strategy to select PRM data by the classes of responses and prompts.
///
/// In a config file: `full`, `remove_hard`, `medium_only` or `revised_only`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Every response.
    Full,
    /// Those of prompts that are not Hard: prompts with nothing but Wrong responses tell no line from
    /// another.
    RemoveHard,
    /// Those of Medium prompts.
    MediumOnly,
    /// Revised responses alone, whose lines have both labels. The paper's best.
    #[default]
    RevisedOnly,
}

impl Selection {
    /// Whether a response of class `response` to a prompt of class `prompt` is kept.
    pub fn keeps(self, prompt: PromptClass, response: ResponseClass) -> bool {
        match self {
            Self::Full => true,
            Self::RemoveHard => prompt != PromptClass::Hard,
            Self::MediumOnly => prompt == PromptClass::Medium,
            Self::RevisedOnly => response == ResponseClass::Revised,
        }
    }

    /// The responses kept, in order, from those to each prompt. `class` tells a response's class.
    ///
    /// ```
    /// use pspo::data::ResponseClass::{Correct, Revised, Wrong};
    /// use pspo::label::Selection;
    ///
    /// let prompts = || vec![vec![("a", Wrong), ("b", Wrong)], vec![("c", Revised), ("d", Correct)]];
    /// let kept = |selection: Selection| -> String {
    ///     selection.select(prompts(), |(_, class)| *class).iter().map(|(name, _)| *name).collect()
    /// };
    /// assert_eq!(kept(Selection::RemoveHard), "cd");
    /// assert_eq!(kept(Selection::RevisedOnly), "c");
    /// ```
    pub fn select<T>(
        self,
        prompts: impl IntoIterator<Item = Vec<T>>,
        class: impl Fn(&T) -> ResponseClass,
    ) -> Vec<T> {
        let mut kept = Vec::new();
        for responses in prompts {
            let classes: Vec<_> = responses.iter().map(&class).collect();
            if let Some(prompt) = PromptClass::of(&classes) {
                let responses = responses.into_iter().zip(classes);
                kept.extend(
                    responses.filter(|(_, class)| self.keeps(prompt, *class)).map(|(response, _)| response),
                );
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResponseClass::{Correct, Revised, Wrong};

    #[test]
    fn each_strategy_keeps_what_it_says() {
        let prompts = [
            vec![(0, Correct), (1, Correct)], // Easy
            vec![(2, Wrong), (3, Wrong)],     // Hard
            vec![],
            vec![(4, Correct), (5, Wrong), (6, Revised)], // Medium
            vec![(7, Revised), (8, Revised)],             // Medium: neither all Correct nor all Wrong
        ];
        let kept = |selection: Selection| -> Vec<i32> {
            let kept = selection.select(prompts.clone(), |(_, class)| *class);
            kept.into_iter().map(|(response, _)| response).collect()
        };
        assert_eq!(kept(Selection::Full), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(kept(Selection::RemoveHard), [0, 1, 4, 5, 6, 7, 8]);
        assert_eq!(kept(Selection::MediumOnly), [4, 5, 6, 7, 8]);
        assert_eq!(kept(Selection::RevisedOnly), [6, 7, 8]);
    }

    #[test]
    fn revised_only_is_the_default() {
        assert_eq!(Selection::default(), Selection::RevisedOnly);
        assert_eq!(serde_json::to_string(&Selection::RemoveHard).unwrap(), "\"remove_hard\"");
    }
}
