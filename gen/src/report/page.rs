//! The page: sections of text, figures and tables, put into one HTML file that needs nothing else.

use crate::error::GenError;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// A table with a heading for each row.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DataTable {
    /// What it shows.
    pub caption: String,
    /// Headings of the columns.
    pub head: Vec<String>,
    /// Cells; the first of each row is its heading.
    pub rows: Vec<Vec<Cell>>,
    /// How wide its columns are.
    pub columns: Columns,
}

/// How wide the columns of a table are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Columns {
    /// As wide as their text.
    #[default]
    Natural,
    /// Narrow and alike: headings are written from the bottom up.
    Narrow,
}

/// A cell of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// What is drawn behind the text.
    pub mark: Option<Mark>,
}

/// What is drawn behind a cell's text: a share of 0 to 1.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mark {
    /// How it is drawn.
    pub kind: MarkKind,
    /// How much.
    pub share: f64,
}

/// How a share is drawn: a class of the style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A bar from the left.
    Bar,
    /// A shade: right answers.
    Right,
    /// A shade: wrong answers.
    Wrong,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell { text, mark: None }
    }
}

impl Cell {
    /// A cell with a mark.
    pub fn marked(text: String, kind: MarkKind, share: f64) -> Cell {
        Cell { text, mark: Some(Mark { kind, share }) }
    }
}

/// Rows of plain cells.
pub fn plain(rows: Vec<Vec<String>>) -> Vec<Vec<Cell>> {
    rows.into_iter().map(|row| row.into_iter().map(Cell::from).collect()).collect()
}

/// What stands above everything else, for one network.
#[derive(Clone, Debug, Serialize)]
pub struct Headline {
    /// Name of the network.
    pub network: String,
    /// Its figures.
    pub figures: Vec<KeyFigure>,
}

/// A figure of a headline.
#[derive(Clone, Debug, Serialize)]
pub struct KeyFigure {
    /// What it is.
    pub label: &'static str,
    /// The figure.
    pub value: String,
    /// Of what, and where it comes from.
    pub note: String,
}

/// An entry of a legend.
#[derive(Clone, Debug, Serialize)]
pub struct LegendEntry {
    /// Name of the custom property with its colour.
    pub color: String,
    /// How its line is dashed: an SVG dash array, empty for a solid line.
    pub dash: &'static str,
    /// How its points look; empty if it has none.
    pub shape: &'static str,
    /// What it is.
    pub name: String,
}

/// A picture of one of two kinds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// An SVG element.
    Svg(String),
    /// Rows of small images, each row with a heading.
    Grid(ImageGrid),
}

/// Small images in rows and columns.
#[derive(Clone, Debug, Serialize)]
pub struct ImageGrid {
    /// Headings of the columns, one more than images: the first stands over the rows' headings.
    pub head: Vec<String>,
    /// Heading and images of each row.
    pub rows: Vec<(String, Vec<GridImage>)>,
}

/// An image in the page itself.
#[derive(Clone, Debug, Serialize)]
pub struct GridImage {
    /// PNG in base64.
    pub data: String,
    /// What it shows.
    pub alt: String,
}

/// A picture with its words.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The picture.
    pub picture: Picture,
    /// Its legend.
    pub legend: Vec<LegendEntry>,
    /// What it shows.
    pub caption: String,
}

/// A chapter.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its anchor.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Paragraphs.
    pub text: Vec<String>,
    /// Figures, side by side where there is room.
    pub figures: Vec<Figure>,
    /// Tables.
    pub tables: Vec<DataTable>,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Title.
    pub title: String,
    /// What was measured, in a sentence or two.
    pub lead: String,
    /// The main figures of each network.
    pub headlines: Vec<Headline>,
    /// Chapters.
    pub sections: Vec<Section>,
}

impl Page {
    /// The page as HTML.
    pub fn html(&self) -> Result<String, GenError> {
        let render = || {
            let mut environment = Environment::new();
            environment.add_template("page.html", TEMPLATE)?;
            environment.get_template("page.html")?.render(context! { page => Serde(self), style => STYLE })
        };
        render().map_err(|error| GenError::Chart(format!("page template: {error:#}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_cannot_break_the_page() {
        let hostile = "<script>alert(1)</script> \" & '";
        let section = Section {
            id: "one",
            title: "One",
            text: vec![hostile.to_owned()],
            figures: vec![Figure {
                picture: Picture::Svg("<svg></svg>".to_owned()),
                legend: vec![LegendEntry {
                    color: "series-0".to_owned(),
                    dash: "",
                    shape: "●",
                    name: hostile.to_owned(),
                }],
                caption: hostile.to_owned(),
            }],
            tables: vec![DataTable {
                caption: hostile.to_owned(),
                head: vec![hostile.to_owned()],
                rows: plain(vec![vec![hostile.to_owned()]]),
                columns: Columns::Natural,
            }],
        };
        let figure = KeyFigure { label: "accuracy", value: hostile.to_owned(), note: hostile.to_owned() };
        let page = Page {
            title: hostile.to_owned(),
            lead: hostile.to_owned(),
            headlines: vec![Headline { network: hostile.to_owned(), figures: vec![figure] }],
            sections: vec![section],
        };
        let html = page.html().unwrap();
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;") && html.contains("<svg></svg>"));
    }
}
