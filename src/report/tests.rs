use super::*;

const HOSTILE: &str = "</code></title><script>alert(\"1\")</script><img src=x onerror='y'>&lt;";

fn line(text: &str, score: Option<f32>, label: Option<Label>) -> AnnotatedLine {
    AnnotatedLine { text: text.to_owned(), score, label }
}

/// A report with this text everywhere.
fn report(text: &str) -> Report {
    let text = || text.to_owned();
    Report {
        title: text(),
        seed: 7,
        tables: vec![Table { title: text(), columns: vec![text(); 2], rows: vec![vec![text(); 2]] }],
        charts: vec![Chart {
            title: text(),
            x_label: text(),
            y_label: text(),
            series: vec![Series::new(text(), vec![(1.0, 0.5), (2.0, 0.25)])],
        }],
        responses: vec![AnnotatedResponse {
            title: text(),
            prompt: text(),
            lines: vec![line(&text(), Some(0.5), Some(Label::Good))],
            first_error: None,
        }],
        notes: vec![text()],
    }
}

#[test]
fn hostile_text_adds_no_markup() {
    let tags = |html: &str| html.matches('<').count();
    let (hostile, plain) = (report(HOSTILE).to_html().unwrap(), report("x").to_html().unwrap());
    assert_eq!(tags(&hostile), tags(&plain));
    for part in ["<script", "<img", "onerror='"] {
        assert!(!hostile.contains(part), "{part}");
    }
    // The title twice, five of the table, four of the chart, three of the response, the note.
    assert_eq!(hostile.matches("&lt;script&gt;").count(), 2 + 5 + 4 + 3 + 1);
}

#[test]
fn nothing_is_fetched() {
    let html = report("x").to_html().unwrap();
    for part in ["src=", "href=", "url(", "@import", "<script", "<link", "https:"] {
        assert!(!html.contains(part), "{part}");
    }
    assert!(html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    assert_eq!(html.matches("http:").count(), html.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn a_response_shows_scores_labels_and_the_first_error() {
    let response = AnnotatedResponse {
        lines: vec![
            line("a = 1\n", Some(1.0), Some(Label::Good)),
            line("# note", Some(-0.001), Some(Label::Neutral)),
            line("  print(b)\r\n", Some(-0.5), Some(Label::Bad)),
            line("c", Some(f32::NAN), None),
            line("d", None, None),
        ],
        first_error: Some(2),
        ..AnnotatedResponse::default()
    };
    let html = Report { responses: vec![response.clone()], ..Report::default() }.to_html().unwrap();
    let rows: Vec<_> =
        html.lines().filter(|line| line.starts_with("<tr") && line.contains("<code>")).collect();
    assert_eq!(
        rows,
        [
            "<tr><td>1</td><td>+1</td><td style=\"background:rgba(0,119,200,0.500)\">+1.00</td>\
             <td class=\"text\" style=\"background:rgba(0,119,200,0.200)\"><code>a = 1</code></td></tr>",
            "<tr><td>2</td><td>0</td><td style=\"background:rgba(230,97,0,0.001)\">0.00</td>\
             <td class=\"text\" style=\"background:rgba(230,97,0,0.000)\"><code># note</code></td></tr>",
            "<tr class=\"error\"><td>3</td><td>−1</td><td style=\"background:rgba(230,97,0,0.250)\">−0.50</td>\
             <td class=\"text\" style=\"background:rgba(230,97,0,0.100)\"><code>  print(b)</code> \
             <mark>first error</mark></td></tr>",
            "<tr><td>4</td><td></td><td>NaN</td><td class=\"text\"><code>c</code></td></tr>",
            "<tr><td>5</td><td></td><td></td><td class=\"text\"><code>d</code></td></tr>",
        ]
    );
    // A mark beyond the last line is no reason to fail.
    let beyond = AnnotatedResponse { first_error: Some(9), ..response };
    assert!(!Report { responses: vec![beyond], ..Report::default() }.to_html().unwrap().contains("<mark>"));
}

#[test]
fn a_curve_has_a_gap_where_there_is_no_value() {
    let svg = |points: Vec<(f64, f64)>| {
        chart::svg(&Chart { series: vec![Series::new("a", points)], ..Chart::default() }, false).unwrap()
    };
    let curves = |svg: &str| svg.matches("<polyline").count() - svg.matches("stroke=\"#DDDDDE\"").count();
    let whole = svg((0..9).map(|at| (f64::from(at), f64::from(at))).collect()).unwrap();
    let gap = svg((0..9).map(|at| (f64::from(at), if at == 4 { f64::NAN } else { f64::from(at) })).collect());
    assert_eq!(curves(&gap.unwrap()), curves(&whole) + 1);
    assert_eq!(svg(vec![]), None);
    assert_eq!(svg(vec![(f64::NAN, 1.0), (1.0, f64::INFINITY)]), None);
    assert!(svg(vec![(3.0, 1.0)]).unwrap().contains("<circle"));
}

#[test]
fn intervals_are_lines_through_their_points_and_widen_the_axis() {
    let chart = |spread| Chart {
        series: vec![Series { spread, ..Series::new("a", vec![(0.0, 0.5), (1.0, 0.6)]) }],
        ..Chart::default()
    };
    let lines = |svg: &str| svg.matches("stroke=\"#0072B2\"").count();
    let without = chart::svg(&chart(vec![]), false).unwrap().unwrap();
    let with = chart::svg(&chart(vec![(0.1, 0.9), (f64::NAN, 0.7)]), false).unwrap().unwrap();
    assert_eq!(lines(&with), lines(&without) + 1, "one of them has no end");
    assert!(with.contains("\n1.0\n") && !without.contains("\n1.0\n"), "{with}");
}

#[test]
fn a_picture_has_its_legend_and_no_markup_of_names() {
    let chart = Chart {
        series: (0..6).map(|at| Series::new(format!("<b>{at}"), vec![(0.0, 1.0), (1.0, 2.0)])).collect(),
        ..Chart::default()
    };
    let picture = chart.to_svg().unwrap().unwrap();
    assert!(picture.starts_with("<svg") && (0..6).all(|at| picture.contains(&format!("&lt;b&gt;{at}"))));
    assert!(!picture.contains("<b>"));
    // Long names have fewer beside them, and so more rows.
    let height = |name: &str| {
        let series = (0..4).map(|_| Series::new(name, vec![(0.0, 1.0), (1.0, 2.0)])).collect();
        let svg = Chart { series, ..Chart::default() }.to_svg().unwrap().unwrap();
        svg.split_once("height=\"").unwrap().1.split_once('"').unwrap().0.parse::<u32>().unwrap()
    };
    assert!(height("short") < height("a name of some length") && height(&"long".repeat(99)) > 0);
    assert_eq!(Chart::default().to_svg().unwrap(), None);
}

#[test]
fn a_chart_without_values_says_so() {
    let chart = Chart { series: vec![Series::default()], ..Chart::default() };
    let html = Report { charts: vec![chart], ..Report::default() }.to_html().unwrap();
    assert!(html.contains("no values") && !html.contains("<svg"));
}

#[test]
fn every_colour_that_is_drawn_is_one_of_the_style_sheet() {
    let series = (0..14).map(|at| Series::new("x", vec![(0.0, f64::from(at)), (1.0, 0.0)]));
    let svg = chart::svg(&Chart { series: series.collect(), ..Chart::default() }, false).unwrap().unwrap();
    let style = include_str!("style.css");
    for attribute in svg.split_whitespace().filter(|part| part.starts_with("stroke=\"#")) {
        let attribute = attribute.trim_end_matches(['/', '>']);
        assert!(style.contains(&format!("figure [{attribute}]")), "{attribute}");
    }
}
