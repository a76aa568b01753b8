//! Drawing: time goes from left to right, the record is at the top, and each claimant has a lane below it.

use std::fmt::Write as _;

use super::{Fault, Micros, Picture, Request};

const WIDTH: u32 = 1_200;
/// The least room for names, and at the other end for what is written below the axis.
const LEFT: u32 = 130;
const RIGHT: u32 = 40;
/// How many letters of a name there is room for.
const LONGEST_NAME: usize = 40;
/// Where the record is, and how far lanes are apart.
const RECORD: u32 = 92;
const LANE: u32 = 84;
const BAR: u32 = 22;
/// Room below the last lane for the axis and the legend.
const BOTTOM: u32 = 122;
/// Where the words for what went wrong stand, from the middle of a lane.
const ROWS: [i32; 3] = [32, 21, -16];
/// Told apart also by those who do not see all colours (Okabe and Ito), as far as there are as many.
const COLOURS: [&str; 10] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5230", "#6a51a3",
    "#7f7f7f", "#1b7837",
];
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}.small{font-size:11px;fill:#555}\
    .grid{stroke:#e4e4e4}.lane{stroke:#bbb}.truth{opacity:.9}.lapse{opacity:.25}.belief{opacity:.55}\
    .read{stroke:#b5b5b5;fill:none;marker-end:url(#read)}.write{stroke:#333;fill:none;stroke-width:1.4;marker-end:url(#write)}\
    .refused{stroke-dasharray:4 3}.lost{fill:#c00;font-weight:bold}.stub{marker-end:none}.fault{fill:#c00;opacity:.13}\
    .word{fill:#a00;font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:3px}.middle{text-anchor:middle}\
    .broken{stroke:#c00;stroke-width:2}.what{fill:#c00;font-size:12px}";

struct Canvas {
    svg: String,
    from: Micros,
    until: Micros,
    /// Where time begins.
    left: u32,
}

/// Draws what happened in that time.
pub(super) fn draw(picture: &Picture, from: Micros, until: Micros) -> String {
    let lanes = u32::try_from(picture.lanes.len()).unwrap_or(u32::MAX);
    let height = RECORD + LANE * lanes + BOTTOM;
    let longest = picture.lanes.iter().map(|name| name.chars().count()).max();
    let longest = u32::try_from(longest.unwrap_or(0).min(LONGEST_NAME)).unwrap_or(0);
    let mut canvas = Canvas {
        svg: String::new(),
        from,
        until,
        left: LEFT.max(longest * 8 + 22),
    };
    canvas.line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">"#
    ));
    canvas.line(format_args!("<style>{STYLE}</style>"));
    canvas.definitions(height);
    canvas.line(format_args!(
        r##"<rect width="{WIDTH}" height="{height}" fill="#fff"/>"##
    ));
    canvas.text(canvas.left, 26, "title", &picture.title);
    let bottom = lane(lanes) - LANE / 2 + 10;
    canvas.axis(bottom);
    canvas.lanes(picture);
    canvas.faults(picture);
    canvas.line(format_args!(r#"<g clip-path="url(#time)">"#));
    for request in &picture.requests {
        canvas.request(request);
    }
    canvas.line(format_args!("</g>"));
    canvas.bars(picture);
    canvas.words(picture);
    canvas.broken(picture, bottom);
    canvas.legend(height - 32, picture);
    canvas.line(format_args!("</svg>"));
    canvas.svg
}

/// Where the middle of a claimant's lane is.
fn lane(index: u32) -> u32 {
    RECORD + LANE * (index + 1)
}

/// Where the middle of its lane is.
fn middle(fault: &Fault) -> u32 {
    match fault.lane {
        Some(who) => lane(u32::try_from(who).unwrap_or(0)),
        None => RECORD,
    }
}

/// How far from a claimant's bar what was lost is marked.
const STUB: u32 = 16;

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

    /// The heads of the arrows, and where requests are drawn.
    fn definitions(&mut self, height: u32) {
        let (left, width) = (self.left, WIDTH - self.left - RIGHT);
        self.line(format_args!(
            r#"<defs><clipPath id="time"><rect x="{left}" y="0" width="{width}" height="{height}"/></clipPath>"#
        ));
        for (name, colour) in [("read", "#b5b5b5"), ("write", "#333")] {
            self.line(format_args!(
                r#"<marker id="{name}" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L6 3L0 6z" fill="{colour}"/></marker>"#
            ));
        }
        self.line(format_args!("</defs>"));
    }

    fn text(&mut self, x: u32, y: u32, class: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.line(format_args!(
            r#"<text x="{x}" y="{y}" class="{class}">{text}</text>"#
        ));
    }

    /// Where an instant is; what is outside is at the edge.
    fn x(&self, at: Micros) -> u32 {
        let room = u64::from(WIDTH - self.left - RIGHT);
        let at = at.clamp(self.from, self.until) - self.from;
        self.left + u32::try_from(at * room / (self.until - self.from)).unwrap_or(0)
    }

    /// Where an instant is, or would be, if it is outside.
    fn beyond(&self, at: Micros) -> i128 {
        let room = i128::from(WIDTH - self.left - RIGHT);
        let since = i128::from(at) - i128::from(self.from);
        i128::from(self.left) + since * room / i128::from(self.until - self.from)
    }

    fn shows(&self, from: Micros, until: Micros) -> bool {
        self.from <= until && from <= self.until
    }

    fn axis(&mut self, bottom: u32) {
        const SECOND: Micros = 1_000_000;
        let span = self.until - self.from;
        let steps =
            [1, 2, 5, 10, 30, 60, 300, 600, 3_600, 21_600, 86_400].map(|step| step * SECOND);
        let step = steps.into_iter().find(|step| span / step <= 20);
        let step = step.unwrap_or_else(|| span.max(1));
        let mut at = self.from.next_multiple_of(step);
        while at <= self.until {
            let x = self.x(at);
            self.line(format_args!(
                r#"<line x1="{x}" y1="44" x2="{x}" y2="{bottom}" class="grid"/>"#
            ));
            let label = format!("{} s", at / SECOND);
            self.text(x, bottom + 16, "small middle", &label);
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
        let left = self.left;
        for (name, index) in names.zip(0..) {
            let y = if index == 0 { RECORD } else { lane(index - 1) };
            let right = WIDTH - RIGHT;
            self.line(format_args!(
                r#"<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" class="lane"/>"#
            ));
            let mut name = name.to_owned();
            if let Some((at, _)) = name.char_indices().nth(LONGEST_NAME - 1) {
                name.truncate(at);
                name.push('…');
            }
            self.text(12, y + 5, "", &name);
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
            if record.at < lapses {
                self.bar((record.at, lapses), RECORD, "truth", colour(holder));
            }
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
        let sent = self.beyond(request.sent);
        let Some(arrived) = request.arrived else {
            self.lost((sent, own), (sent + 4, own - STUB), &class);
            return;
        };
        let at = self.beyond(arrived);
        self.line(format_args!(
            r#"<line x1="{sent}" y1="{own}" x2="{at}" y2="{record}" class="{class}"/>"#
        ));
        match request.heard {
            Some(heard) => {
                let heard = self.beyond(heard);
                self.line(format_args!(
                    r#"<line x1="{at}" y1="{record}" x2="{heard}" y2="{own}" class="{class}"/>"#
                ));
            }
            // Where it is seen whose it was.
            None => self.lost((at, record), (at + 4, own - STUB), &class),
        }
    }

    /// What goes nowhere.
    fn lost(&mut self, (x, from): (i128, u32), (end, to): (i128, u32), class: &str) {
        self.line(format_args!(
            r#"<line x1="{x}" y1="{from}" x2="{end}" y2="{to}" class="{class} stub"/>"#
        ));
        let to = to + 4;
        self.line(format_args!(
            r#"<text x="{end}" y="{to}" class="lost middle">×</text>"#
        ));
    }

    fn faults(&mut self, picture: &Picture) {
        for fault in &picture.faults {
            let until = fault.until.unwrap_or(fault.from);
            if !self.shows(fault.from, until) {
                continue;
            }
            let (left, right) = (self.x(fault.from), self.x(until));
            let (top, width) = (
                middle(fault) - LANE / 2 + 8,
                right.saturating_sub(left).max(2),
            );
            let height = LANE - 16;
            self.line(format_args!(
                r#"<rect x="{left}" y="{top}" width="{width}" height="{height}" class="fault"/>"#
            ));
        }
    }

    /// What the faults are, on top of all lines.
    fn words(&mut self, picture: &Picture) {
        let mut ends = vec![[0; ROWS.len()]; picture.lanes.len() + 1];
        for fault in &picture.faults {
            if !self.shows(fault.from, fault.until.unwrap_or(fault.from)) {
                continue;
            }
            let mut what = fault.what.clone();
            if let Some((at, _)) = what.char_indices().nth(LONGEST_NAME - 1) {
                what.truncate(at);
                what.push('…');
            }
            let room = u32::try_from(what.chars().count()).unwrap_or(0) * 6 + 8;
            // At the right edge it stands before its instant.
            let at = self.x(fault.from);
            let left = at.min((WIDTH - RIGHT).saturating_sub(room)).max(self.left);
            let index = fault.lane.map_or(0, |lane| lane + 1);
            let Some(ends) = ends.get_mut(index) else {
                continue;
            };
            // Words that would stand on each other are left out: three lines are as many as can be read.
            let row = ends.iter().position(|end| *end <= left);
            if let Some((end, row)) = row.and_then(|row| Some((ends.get_mut(row)?, ROWS.get(row)?)))
            {
                *end = left + room;
                let y = middle(fault).saturating_add_signed(*row);
                self.text(left + 3, y, "word", &what);
            }
        }
    }

    /// Where a promise was broken.
    fn broken(&mut self, picture: &Picture, bottom: u32) {
        let Some(broken) = &picture.broken else {
            return;
        };
        let x = self.x(broken.at);
        self.line(format_args!(
            r#"<line x1="{x}" y1="62" x2="{x}" y2="{bottom}" class="broken"/>"#
        ));
        let what = format!("Broken at the red line: {}", broken.what);
        let mut lines = vec![String::new()];
        for word in what.split(' ') {
            let last = lines.last_mut().expect("there is one");
            if last.chars().count() + word.chars().count() > 160 {
                lines.push(word.to_owned());
            } else {
                last.push_str(if last.is_empty() { "" } else { " " });
                last.push_str(word);
            }
        }
        for (y, line) in [42, 57].into_iter().zip(lines) {
            self.text(self.left, y, "what", &line);
        }
    }

    /// Says what of the signs is there.
    fn legend(&mut self, y: u32, picture: &Picture) {
        let entries = [
            ("truth", "the record names it, and its time is not over"),
            ("lapse", "its time is over"),
            ("belief", "it believes that it holds the Lease"),
        ];
        let mut x = self.left;
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
            "arrows: requests that the API server tells of, and its answers, by its clock (dark: writes; dashed: refused)"
        } else {
            "arrows: requests and answers (dark: writes; dashed: refused; ×: lost)"
        };
        self.text(self.left, y + 20, "small", lines);
    }
}
