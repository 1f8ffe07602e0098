//! The blocks of a page, as a reader sees them.

/// A fenced block: its language, and its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn of(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(language)) => {
                open = Some(Block { language: language.trim().to_owned(), text: String::new() });
            }
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn a_page_is_cut_into_its_blocks() {
    let page = "words\n```sh\none\n\ntwo\n```\nmore\n```rust\nfn main() {}\n```\n";
    let block = |language: &str, text: &str| Block { language: language.into(), text: text.into() };
    assert_eq!(of(page), [block("sh", "one\n\ntwo\n"), block("rust", "fn main() {}\n")]);
}
