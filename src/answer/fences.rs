//! Fenced blocks of Markdown: where they are in a text, and which of their bytes are content.

use std::ops::Range;

/// A fenced block.
///
/// A block begins with a line of three or more backticks or tildes and whatever follows them (its language first);
/// behind backticks no more backticks may follow, for that is code within a line. It ends with a line of at
/// least as many of the same mark and nothing else, indented by at most three blanks more than its beginning; or
/// with the text, which was cut. So a block may hold shorter fences, fences of the other mark, and those of a
/// docstring, which are indented (CommonMark, section 4.5).
///
/// Other than in CommonMark a block may begin behind any indentation, as within a list's items, whose content
/// models indent as they like. From its lines as much of that indentation is taken off as they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The first word behind the opening marks: `python` of "```python title=x". Empty where there is none.
    pub language: &'a str,
    /// The bytes between the lines of marks, each line's indentation included.
    pub span: Range<usize>,
    /// The bytes of the content, as runs of the text: one where the block is not indented.
    pub content: Vec<Range<usize>>,
    /// Whether a line of marks ends it.
    pub closed: bool,
}

impl Block<'_> {
    /// The bytes of the content, white space not counted.
    pub(super) fn weight(&self, text: &str) -> usize {
        let black =
            |run: &Range<usize>| text[run.clone()].bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
        self.content.iter().map(black).sum()
    }
}

/// The fenced blocks of `text` in order.
///
/// ```
/// use pspo::answer::blocks;
///
/// let text = "First:\n```python\nx = 1\n```\nor\n~~~\ny = 2";
/// let found: Vec<_> = blocks(text).into_iter().map(|b| (b.language, &text[b.span], b.closed)).collect();
/// assert_eq!(found, [("python", "x = 1\n", true), ("", "y = 2", false)]);
/// ```
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(Fence<'_>, Block<'_>)> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let fence = Fence::of(line);
        open = match (open, fence) {
            (None, Some(fence)) if fence.opens() => {
                let language = fence.info.split_whitespace().next().unwrap_or_default();
                Some((fence, Block { language, span: end..end, content: Vec::new(), closed: false }))
            }
            (None, _) => None,
            (Some((opened, mut block)), Some(fence)) if fence.closes(&opened) => {
                block.closed = true;
                found.push(block);
                None
            }
            (Some((opened, mut block)), _) => {
                let indentation = line.bytes().zip(opened.indentation.bytes());
                let taken = indentation.take_while(|(have, take)| have == take).count();
                match block.content.last_mut() {
                    Some(run) if run.end == start + taken => run.end = end,
                    _ => block.content.push(start + taken..end),
                }
                block.span.end = end;
                Some((opened, block))
            }
        };
        start = end;
    }
    found.extend(open.map(|(_, block)| block));
    found
}

/// A line that may begin or end a block.
struct Fence<'a> {
    indentation: &'a str,
    mark: char,
    length: usize,
    /// What stands behind the marks.
    info: &'a str,
}

impl<'a> Fence<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches([' ', '\t']);
        let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let (indentation, length) = (&line[..line.len() - text.len()], text.len() - info.len());
        (length >= 3).then(|| Self { indentation, mark, length, info: info.trim() })
    }

    fn opens(&self) -> bool {
        self.mark != '`' || !self.info.contains('`')
    }

    fn closes(&self, opened: &Fence<'_>) -> bool {
        self.mark == opened.mark
            && self.length >= opened.length
            && self.info.is_empty()
            && self.indentation.len() <= opened.indentation.len() + 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(text: &str) -> Vec<(String, bool)> {
        let content = |block: Block<'_>| {
            let runs = block.content.iter().map(|run| &text[run.clone()]);
            (runs.collect(), block.closed)
        };
        blocks(text).into_iter().map(content).collect()
    }

    #[test]
    fn blocks_are_found_with_their_ends() {
        for (text, expected) in [
            ("", &[][..]),
            ("x = 1", &[]),
            ("``x``\n`` ` ``", &[]),
            ("```x``` is no block", &[]),
            ("```\nx\n```", &[("x\n", true)]),
            ("```python\nx\n```\ntext\n```\ny\n```\nend", &[("x\n", true), ("y\n", true)]),
            ("```\nx\n```\n```py\ny\nz", &[("x\n", true), ("y\nz", false)]),
            ("```\nx\n```\n```", &[("x\n", true), ("", false)]),
            ("```", &[("", false)]),
            // Fences within fences.
            ("~~~\n```\nx\n```\n~~~\n", &[("```\nx\n```\n", true)]),
            ("````\n```\nx\n````", &[("```\nx\n", true)]),
            ("```\nx\n`````", &[("x\n", true)]),
            ("```\nx\n``` not the end\ny\n```", &[("x\n``` not the end\ny\n", true)]),
            ("~~~ a ``` b\nx\n~~~", &[("x\n", true)]),
            (
                "```\ndef f():\n    '''\n    ```\n    f()\n    ```\n    '''\n```",
                &[("def f():\n    '''\n    ```\n    f()\n    ```\n    '''\n", true)],
            ),
            ("   ```\r\n   x\r\n   ```\r\n", &[("x\r\n", true)]),
            // Within a list's item, whose lines need not be indented as its fence is.
            ("1. so:\n    ```py\n    if x:\n        y\n\n  z\n    ```\n", &[("if x:\n    y\n\nz\n", true)]),
            ("\t```\n\tx\n\t\ty\n\t```\n", &[("x\n\ty\n", true)]),
            ("é\n```\né\n```", &[("é\n", true)]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(text, closed)| (text.to_owned(), closed)).collect();
            assert_eq!(contents(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_indented_block_is_a_run_for_each_line_and_another_one_run() {
        assert_eq!(blocks("```\na\nb\n```")[0].content, std::slice::from_ref(&(4..8)));
        assert_eq!(blocks(" ```\n a\n\n b\n ```")[0].content, [6..9, 10..12]);
        assert_eq!(blocks("```Python3 {x}\n")[0].language, "Python3");
    }
}
