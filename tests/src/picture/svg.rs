//! Drawing: time goes from left to right, the record is at the top, and each claimant has a lane below it.

use std::fmt::Write as _;

use super::{Fault, Micros, Picture, Request};

const WIDTH: u32 = 1_200;
/// Room for names, and at the other end for air.
const LEFT: u32 = 130;
const RIGHT: u32 = 20;
/// Where the record is, and how far lanes are apart.
const RECORD: u32 = 92;
const LANE: u32 = 84;
const BAR: u32 = 22;
/// Room below the last lane for the axis and the legend.
const BOTTOM: u32 = 122;
/// Told apart also by those who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}.small{font-size:11px;fill:#555}\
    .grid{stroke:#e4e4e4}.lane{stroke:#bbb}.truth{opacity:.9}.lapse{opacity:.25}.belief{opacity:.55}\
    .read{stroke:#b5b5b5;fill:none}.write{stroke:#333;fill:none;stroke-width:1.4}.refused{stroke-dasharray:4 3}\
    .lost{fill:#c00;font-weight:bold}.fault{fill:#c00;opacity:.13}.word{fill:#a00;font-size:11px}";

struct Canvas {
    svg: String,
    from: Micros,
    until: Micros,
}

/// Draws what happened in that time.
pub(super) fn draw(picture: &Picture, from: Micros, until: Micros) -> String {
    let lanes = u32::try_from(picture.lanes.len()).unwrap_or(u32::MAX);
    let height = RECORD + LANE * lanes + BOTTOM;
    let mut canvas = Canvas {
        svg: String::new(),
        from,
        until,
    };
    canvas.line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">"#
    ));
    canvas.line(format_args!("<style>{STYLE}</style>"));
    canvas.line(format_args!(
        r##"<rect width="{WIDTH}" height="{height}" fill="#fff"/>"##
    ));
    canvas.text(LEFT, 26, "title", &picture.title);
    canvas.axis(lane(lanes) - LANE / 2 + 10);
    canvas.lanes(picture);
    canvas.faults(picture);
    for request in &picture.requests {
        canvas.request(request);
    }
    canvas.bars(picture);
    canvas.legend(height - 32, picture);
    canvas.line(format_args!("</svg>"));
    canvas.svg
}

/// Where the middle of a claimant's lane is.
fn lane(index: u32) -> u32 {
    RECORD + LANE * (index + 1)
}

fn colour(index: usize) -> &'static str {
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("#000")
}

impl Canvas {
    fn line(&mut self, what: std::fmt::Arguments<'_>) {
        let written = writeln!(self.svg, "{what}");
        written.expect("a string takes whatever is written");
    }

    fn text(&mut self, x: u32, y: u32, class: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.line(format_args!(
            r#"<text x="{x}" y="{y}" class="{class}">{text}</text>"#
        ));
    }

    /// Where an instant is; what is outside is at the edge.
    fn x(&self, at: Micros) -> u32 {
        let room = u64::from(WIDTH - LEFT - RIGHT);
        let at = at.clamp(self.from, self.until) - self.from;
        LEFT + u32::try_from(at * room / (self.until - self.from)).unwrap_or(0)
    }

    fn shows(&self, from: Micros, until: Micros) -> bool {
        self.from <= until && from <= self.until
    }

    fn axis(&mut self, bottom: u32) {
        const SECOND: Micros = 1_000_000;
        let span = self.until - self.from;
        let steps = [1, 2, 5, 10, 30, 60, 300, 600, 3_600].map(|step| step * SECOND);
        let step = steps.into_iter().find(|step| span / step <= 20);
        let step = step.unwrap_or_else(|| span.max(1));
        let mut at = self.from.next_multiple_of(step);
        while at <= self.until {
            let x = self.x(at);
            self.line(format_args!(
                r#"<line x1="{x}" y1="44" x2="{x}" y2="{bottom}" class="grid"/>"#
            ));
            let label = format!("{} s", at / SECOND);
            self.text(x - 8, bottom + 16, "small", &label);
            at += step;
        }
    }

    fn lanes(&mut self, picture: &Picture) {
        let record = if picture.records.is_empty() {
            "(no record)"
        } else {
            "the record"
        };
        let names = std::iter::once(record).chain(picture.lanes.iter().map(String::as_str));
        for (name, index) in names.zip(0..) {
            let y = if index == 0 { RECORD } else { lane(index - 1) };
            let right = WIDTH - RIGHT;
            self.line(format_args!(
                r#"<line x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}" class="lane"/>"#
            ));
            self.text(12, y + 5, "", name);
        }
    }

    fn bar(&mut self, (from, until): (Micros, Micros), y: u32, class: &str, fill: &str) {
        if !self.shows(from, until) {
            return;
        }
        let (left, right) = (self.x(from), self.x(until));
        let (width, top) = (right.saturating_sub(left).max(1), y - BAR / 2);
        self.line(format_args!(
            r#"<rect x="{left}" y="{top}" width="{width}" height="{BAR}" class="{class}" fill="{fill}"/>"#
        ));
    }

    /// Whom the record names, until its time is over and beyond, and who believes that it is the holder.
    fn bars(&mut self, picture: &Picture) {
        for (index, record) in picture.records.iter().enumerate() {
            let next = picture.records.get(index + 1).map(|next| next.at);
            let end = next.unwrap_or(self.until).max(record.at);
            let Some(holder) = record.holder else {
                continue;
            };
            let lapses = record.expires.clamp(record.at, end);
            self.bar((record.at, lapses), RECORD, "truth", colour(holder));
            if lapses < end {
                self.bar((lapses, end), RECORD, "lapse", colour(holder));
            }
        }
        for belief in &picture.beliefs {
            let y = lane(u32::try_from(belief.lane).unwrap_or(0));
            let until = belief.until.unwrap_or(self.until);
            self.bar((belief.from, until), y, "belief", colour(belief.lane));
        }
    }

    fn request(&mut self, request: &Request) {
        let end = request.heard.or(request.arrived).unwrap_or(request.sent);
        if !self.shows(request.sent, end) {
            return;
        }
        let own = lane(u32::try_from(request.lane).unwrap_or(0)) - BAR / 2;
        let record = RECORD + BAR / 2;
        let kind = if request.method == "GET" {
            "read"
        } else {
            "write"
        };
        let is_refused = request.status.is_some_and(|status| status >= 300);
        let class = if is_refused {
            format!("{kind} refused")
        } else {
            kind.to_owned()
        };
        let sent = self.x(request.sent);
        let Some(arrived) = request.arrived else {
            self.lost(sent, own, 2 * own / 3 + record / 3, &class);
            return;
        };
        let at = self.x(arrived);
        self.line(format_args!(
            r#"<line x1="{sent}" y1="{own}" x2="{at}" y2="{record}" class="{class}"/>"#
        ));
        match request.heard {
            Some(heard) => {
                let heard = self.x(heard);
                self.line(format_args!(
                    r#"<line x1="{at}" y1="{record}" x2="{heard}" y2="{own}" class="{class}"/>"#
                ));
            }
            None => self.lost(at, record, own / 3 + 2 * record / 3, &class),
        }
    }

    /// What goes nowhere.
    fn lost(&mut self, x: u32, from: u32, to: u32, class: &str) {
        let end = x + 4;
        self.line(format_args!(
            r#"<line x1="{x}" y1="{from}" x2="{end}" y2="{to}" class="{class}"/>"#
        ));
        self.text(end.saturating_sub(4), to + 4, "lost", "×");
    }

    fn faults(&mut self, picture: &Picture) {
        let mut last_word = vec![0; picture.lanes.len() + 1];
        for fault in &picture.faults {
            let until = fault.until.unwrap_or(fault.from);
            if !self.shows(fault.from, until) {
                continue;
            }
            let Fault {
                lane: who, what, ..
            } = fault;
            let index = who.map_or(0, |who| who + 1);
            let y = match who {
                Some(who) => lane(u32::try_from(*who).unwrap_or(0)),
                None => RECORD,
            };
            let (left, right) = (self.x(fault.from), self.x(until));
            let (top, width) = (y - LANE / 2 + 8, right.saturating_sub(left).max(2));
            let height = LANE - 16;
            self.line(format_args!(
                r#"<rect x="{left}" y="{top}" width="{width}" height="{height}" class="fault"/>"#
            ));
            // Words that would stand on each other are left out.
            let room = u32::try_from(what.chars().count()).unwrap_or(0) * 6 + 8;
            if let Some(last) = last_word.get_mut(index)
                && *last <= left
            {
                *last = left + room;
                self.text(left + 3, y + LANE / 2 - 12, "word", what);
            }
        }
    }

    /// Says what of the signs is there.
    fn legend(&mut self, y: u32, picture: &Picture) {
        let entries = [
            ("truth", "the record names it, and its time is not over"),
            ("lapse", "its time is over"),
            ("belief", "it believes that it holds the Lease"),
        ];
        let mut x = LEFT;
        for (class, text) in entries {
            if picture.records.is_empty() && class != "belief" {
                continue;
            }
            let top = y - 11;
            self.line(format_args!(
                r##"<rect x="{x}" y="{top}" width="24" height="12" class="{class}" fill="#0072b2"/>"##
            ));
            self.text(x + 30, y, "small", text);
            x += 50 + u32::try_from(text.len()).unwrap_or(0) * 6;
        }
        if picture.requests.is_empty() {
            return;
        }
        let lines = if picture.is_by_server {
            "lines: requests that the API server tells of, and its answers, by its clock (dark: writes; dashed: refused)"
        } else {
            "lines: requests and answers (dark: writes; dashed: refused; ×: lost)"
        };
        self.text(LEFT, y + 20, "small", lines);
    }
}
