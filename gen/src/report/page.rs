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
    pub rows: Vec<Vec<String>>,
}

/// An entry of a legend.
#[derive(Clone, Debug, Serialize)]
pub struct LegendEntry {
    /// Name of the custom property with its colour.
    pub color: String,
    /// How its points look.
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
                    shape: "●",
                    name: hostile.to_owned(),
                }],
                caption: hostile.to_owned(),
            }],
            tables: vec![DataTable {
                caption: hostile.to_owned(),
                head: vec![hostile.to_owned()],
                rows: vec![vec![hostile.to_owned()]],
            }],
        };
        let page = Page { title: hostile.to_owned(), lead: hostile.to_owned(), sections: vec![section] };
        let html = page.html().unwrap();
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;") && html.contains("<svg></svg>"));
    }
}
