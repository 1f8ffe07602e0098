//! A picture of lines, boxes and words, readable on light and on dark pages.

use std::fmt::Write as _;

/// All pictures are as wide, so that their words are as large.
/// And not wider than can be read on a telephone.
pub(super) const WIDTH: u32 = 520;

const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:15px;fill:#1f2328}
.small{font-size:14px;fill:#59636e}.strong{font-weight:600;font-size:16px}.on{fill:#ffffff}
.act{fill:#b43403}.paper{fill:#ffffff}.box{fill:#f6f8fa;stroke:#8c959f}.ours{fill:#ddf4ff;stroke:#0969da}
.fresh{fill:#1a7f37}.window{fill:#9a6700}.ended{fill:#6e7781}
.line{stroke:#59636e;fill:none;stroke-width:1.5}.head{fill:#59636e}
.act-line{stroke:#b43403;fill:none;stroke-width:2.5}.act-head{fill:#b43403}
.dashed{stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.small{fill:#9198a1}.on{fill:#ffffff}.act{fill:#ff9b70}.paper{fill:#0d1117}
.box{fill:#151b23;stroke:#656c76}.ours{fill:#0c2d4d;stroke:#4493f8}
.fresh{fill:#238636}.window{fill:#9e6a03}.ended{fill:#656c76}
.line{stroke:#9198a1}.head{fill:#9198a1}.act-line{stroke:#ff9b70}.act-head{fill:#ff9b70}
}";

pub(super) struct Svg {
    body: String,
    height: u32,
    title: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn new(title: &'static str, height: u32) -> Self {
        Self { body: String::new(), height, title }
    }

    /// `class` may hold several names.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        );
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        let round = if class.contains("box") || class.contains("ours") { " rx=\"6\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"{round} class=\"{class}\"/>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ =
            writeln!(self.body, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" class=\"{class}\"/>");
    }

    /// A line with a head at its end; `act` is what the picture is about.
    pub(super) fn arrow(&mut self, from: (f64, f64), to: (f64, f64), act: bool, dashed: bool) {
        let (line, head) = if act { ("act-line", "act-head") } else { ("line", "head") };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let (ux, uy) = (dx / length, dy / length);
        let neck = (to.0 - ux * 8.0, to.1 - uy * 8.0);
        self.line(from, neck, &format!("{line}{}", if dashed { " dashed" } else { "" }));
        let _ = writeln!(
            self.body,
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}Z\" class=\"{head}\"/>",
            to.0,
            to.1,
            neck.0 - uy * 4.0,
            neck.1 + ux * 4.0,
            neck.0 + uy * 4.0,
            neck.1 - ux * 4.0,
        );
    }

    pub(super) fn finish(self) -> String {
        let Self { body, height, title } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" class=\"paper\"/>\n{body}</svg>\n"
        )
    }
}
