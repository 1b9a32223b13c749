"""The page in a real browser, offline: silent, accessible, and its tables and figures do what they offer."""

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from report.__main__ import main
from report.compare import build as build_comparison
from report.page import build
from results import frames, gates, store
from tests import samples
from tests.report.conftest import EVIL, write_run
from tests.report.page_reader import change_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
A4_PIXELS = 718
"""Between Chromium's default margins, at 96 pixels an inch."""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 812}


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}): install chromium to test the page in one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(full_run):
    return build(full_run)[0].as_uri()


@dataclass
class Noise:
    """What a page asked for beside itself, and what it said where nobody should have to look."""

    requests: list = field(default_factory=list)
    messages: list = field(default_factory=list)


@pytest.fixture
def visit(browser):
    """Opens an address as a visitor without a network; `visit.noise` holds what was heard."""
    contexts = []

    def open_page(address, size=DESKTOP, scheme="light"):
        context = browser.new_context(offline=True, viewport=size, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page, noise = context.new_page(), Noise()
        page.on("request", lambda request: request.is_navigation_request() or noise.requests.append(request.url))
        page.on("console", lambda message: noise.messages.append(message.text))
        page.on("pageerror", lambda error: noise.messages.append(str(error)))
        page.on("dialog", lambda dialog: (noise.messages.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        open_page.noise = noise
        return page

    yield open_page
    for context in contexts:
        context.close()


def open_all(page):
    page.evaluate("document.querySelectorAll('details:not(.menu)').forEach((details) => { details.open = true; })")
    page.wait_for_function("document.querySelectorAll('details.raw:not(:has(table))').length === 0")


def column(page, table, key):
    """The texts of a table's column, as far as it is seen, from top to bottom."""
    keys = page.locator(f"#{table} thead th").evaluate_all("all => all.map((th) => th.dataset.key)")
    cells = "(rows, place) => rows.map((row) => row.cells[place].innerText)"
    return page.locator(f"#{table} tbody tr").evaluate_all(cells, keys.index(key))


def estimates(page):
    """The step times of the cases, from top to bottom."""
    return [float(text.split()[0].replace(",", "")) for text in column(page, "cases", "step")]


def tools(page, table):
    return page.locator(f".tools:has(+ .scroll > #{table})")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_silent_accessible_and_as_wide_as_the_screen(visit, address, size, scheme):
    page = visit(address, size, scheme)
    open_all(page)
    page.locator(".menu").nth(1).locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert visit.noise == Noise()


def test_a_head_sorts_by_numbers_and_a_third_click_gives_the_first_order_back(visit, address):
    page = visit(address)
    open_all(page)
    first = column(page, "cases", "step")
    head = page.locator("#cases th[data-key=step] button")
    head.click()
    numbers = estimates(page)
    assert numbers == sorted(numbers)
    assert len(numbers) == 32
    assert page.locator("#cases th[data-key=step]").get_attribute("aria-sort") == "ascending"
    head.click()
    assert estimates(page) == numbers[::-1]
    head.click()
    assert column(page, "cases", "step") == first
    assert page.locator("#cases th[data-key=step]").get_attribute("aria-sort") is None


def test_a_view_can_be_sent_as_an_address(visit, address):
    page = visit(address)
    open_all(page)
    tools(page, "cases").locator("input[type=search]").fill("vit model")
    page.locator("#cases th[data-key=patches] button").click()
    page.locator("#cases th[data-key=patches] button").click()
    columns = tools(page, "cases").locator(".menu").first
    columns.locator("summary").click()
    columns.get_by_label("multiply-adds").uncheck()
    expected = [f"{n:,}" for n in (1024, 625, 400, 225, 121, 64, 36, 16)]
    assert column(page, "cases", "patches") == expected
    other = visit(page.url)
    assert column(other, "cases", "patches") == expected
    assert set(column(other, "cases", "variant")) == {"ViT"}
    assert not other.locator("#cases th[data-key=multiply-adds]").is_visible()
    assert "8 of 32 rows" in tools(other, "cases").inner_text()
    assert (
        0 <= round(tools(other, "cases").evaluate("tools => tools.getBoundingClientRect().top")) < DESKTOP["height"] / 2
    )
    other.locator(".verdicts a").first.click()
    other.wait_for_url("**cases.filter=vit+model**", timeout=5_000)  # a link within the page keeps the view
    assert column(visit(other.url), "cases", "patches") == expected
    tools(page, "cases").locator("input[type=search]").fill("model 1024")
    assert set(column(page, "cases", "patches")) == {"1,024"}
    again = visit(f"{address}#cases.sort=nonsense&nothing.filter=x&cases.hide=nonsense")
    open_all(again)
    assert len(column(again, "cases", "patches")) == 32, "what an address names wrongly changes nothing"


def saved(page, table, name):
    menu = tools(page, table).locator(".menu").nth(1)
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    with page.expect_download() as download:
        menu.get_by_label(f"Save as {name}:").click()
    return download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")


def test_a_table_is_saved_as_it_is_seen_with_its_numbers(visit, address):
    page = visit(address)
    open_all(page)
    tools(page, "table-recipes").locator("input[type=search]").fill("corrected")
    name, text = saved(page, "table-recipes", "CSV")
    assert name == "table-recipes.csv"
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["variant"], row["augmentation"]) == ("EANet", "corrected")
    assert [float(row[f"top-1 (%){end}"]) for end in ("", " low", " high")] == pytest.approx(
        [51, 48.5154381, 53.4796313]
    )
    _, text = saved(page, "table-recipes", "JSON")
    (row,) = json.loads(text)
    assert row["top-1 (%)"] == pytest.approx({"estimate": 51, "low": 48.5154381, "high": 53.4796313})
    _, text = saved(page, "table-recipes", "Markdown")
    head, ruler, row = text.splitlines()
    assert head.count(" | ") == row.count(" | ") == ruler.count("|") - 2 == 4
    assert ruler.startswith("|---|---|---:|")
    assert "51.0 \\[48.5, 53.5\\]" in row
    _, text = saved(page, "table-recipes", "LaTeX")
    lines = text.splitlines()
    assert lines[1] == "\\begin{tabular}{llrrr}"
    assert [line for line in lines if line.endswith("rule")] == ["\\toprule", "\\midrule", "\\bottomrule"]
    assert "top-1 (\\%)" in text
    assert all(line.count(" & ") == 4 and line.endswith("\\\\") for line in (lines[3], lines[5]))


def test_a_table_is_copied(visit, address):
    page = visit(address)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    menu = tools(page, "crossovers").locator(".menu").nth(1)
    menu.locator("summary").click()
    menu.get_by_label("Copy as CSV:").click()
    tools(page, "crossovers").get_by_text("copied as CSV").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith('"faster","step","above N"')


def test_a_figure_is_saved_as_a_drawing_of_its_own(visit, address):
    page = visit(address, scheme="dark")
    with page.expect_download() as download:
        page.locator("#figure-growth .save").click()
    root = ET.fromstring(download.value.path().read_text(encoding="utf-8"))
    assert download.value.suggested_filename == "figure-growth.svg"
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("width").endswith("pt")
    assert "background: rgb(20, 24, 30)" in root.get("style"), "as it is seen"


def test_every_figure_says_its_numbers_and_its_finding(visit, address):
    page = visit(address)
    labels = page.locator("figure [role=img]").evaluate_all("all => all.map((image) => image.ariaLabel)")
    titles = page.locator("figcaption strong").all_inner_texts()
    assert len(set(labels)) == len(titles) == 7
    for title in titles:
        assert any(label.startswith(title) and len(label) > len(title) + 20 for label in labels), title


def test_the_keyboard_alone_reaches_the_verdicts_and_sorts(visit, address):
    page = visit(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the verdicts"
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#table-accuracy th')?.dataset.key") == "top-1":
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert column(page, "table-accuracy", "variant") == ["ViT", "EANet"]
    menu = tools(page, "table-accuracy").locator(".menu").first
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    assert menu.get_attribute("open") is not None
    page.keyboard.press("Escape")
    assert menu.get_attribute("open") is None


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    """The page of a run with six models that were trained alike, each seed in a process of its own."""
    folder = write_run(tmp_path_factory.mktemp("race") / "run")
    for place in range(4):
        for seed in range(3):
            where = samples.environment(process=f"{place} {seed}")
            size = {"model": {"mlp_dim": 100 + place}, "parameters": 100 + place, "where": where}
            store.write(folder, samples.training("eanet", seed, top1=0.9 + 0.01 * place, suite="sizes", **size))
    return build(folder)[0]


def costs_shown(page):
    """The title, the numbers in words and the labels of the axes of the figures of costs that are seen."""
    figures = page.locator(".choice figure:visible").all()
    return [
        (
            figure.locator("strong").inner_text(),
            figure.locator("[role=img]:visible").get_attribute("aria-label"),
            figure.locator("svg:visible").text_content(),
        )
        for figure in figures
    ]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_reader_chooses_both_axes_of_the_costs(visit, race, size):
    page = visit(race.as_uri(), size)
    open_all(page)
    ((title, told, axes),) = costs_shown(page)
    assert title.startswith("Test top-1 against multiply-adds per image: ")
    page.get_by_label("upwards").select_option("test loss")
    page.get_by_label("across").select_option("parameters")
    ((chosen, told_then, axes_then),) = costs_shown(page)
    assert chosen.startswith("Test loss against parameters: ")
    assert all(words in axes for words in ("test top-1 (%)", "higher is better", "multiply-adds per image (log)"))
    assert all(words in axes_then for words in ("test loss", "lower is better", "parameters (log)"))
    assert "% at " in told
    assert told_then.startswith(chosen)
    assert "% at " not in told_then
    assert page.locator("#costs [role=status]").text_content() == chosen
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    with page.expect_download() as download:
        page.locator(".choice figure:visible .save").click()
    assert download.value.suggested_filename == "figure-costs-test_loss-parameters.svg"
    assert visit.noise == Noise()


def test_the_keyboard_chooses_the_axes(visit, race):
    page = visit(race.as_uri())
    page.locator("#costs > summary").focus()
    page.keyboard.press("Enter")
    for key in ("Tab", "ArrowDown", "Tab", "ArrowDown"):
        page.keyboard.press(key)
    ((title, *_),) = costs_shown(page)
    assert title.startswith("Test top-5 against parameters: ")


def test_without_its_script_the_page_shows_the_first_figure_of_the_costs(browser, race):
    page = browser.new_context(java_script_enabled=False, viewport=DESKTOP).new_page()
    page.goto(race.as_uri())
    page.locator("#costs > summary").click()
    ((title, *_),) = costs_shown(page)
    assert title.startswith("Test top-1 against multiply-adds per image: ")
    assert page.locator("#costs select").count() == 0, "what does nothing is not there"
    page.context.close()


def test_the_data_inside_are_the_records_by_the_names_of_the_tables(visit, address, full_run):
    page, run = visit(address), store.load(full_run)
    inside = json.loads(page.locator("#data").evaluate("data => data.textContent"))
    rows = {name: [dict(zip(of["columns"], row, strict=True)) for row in of["rows"]] for name, of in inside.items()}
    told = frames.trainings(run)
    done = told[told.status == "done"]
    for name in ("trial_id", "variant", "seed", "macs", "top1", "train_step_seconds", "peak_memory_bytes", "backend"):
        assert [row[name] for row in rows["trainings"]] == done[name].tolist(), name
    assert [row["step_seconds"] for row in rows["step_times"]] == [record.step_seconds for record in run.step_times]
    assert {row["steps"] for row in rows["step_times"]} == {3}
    assert [(row["status"], row["reason"]) for row in rows["failures"]] == [("failed", "ResourceExhausted: no memory")]
    open_all(page)
    assert page.locator("#records-trainings tbody tr").count() == len(run.trainings)


def test_the_page_is_printed_with_all_that_is_folded_away(visit, address):
    page = visit(address)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type/Page") >= 5
    page.set_viewport_size({"width": A4_PIXELS, "height": 900})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= A4_PIXELS, "nothing is cut off"
    assert page.locator("#cases").is_visible()
    assert not page.locator(".tools").first.is_visible()


STRICT = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
"""What a build server sends with an artefact (Jenkins): no style and no script of the page's own."""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_reads_under_a_strict_content_security_policy(browser, full_run, size):
    text = build(full_run)[0].read_text(encoding="utf-8")
    page = browser.new_context(viewport=size).new_page()
    headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": STRICT}
    page.route("**/*", lambda route: route.fulfill(body=text, headers=headers))
    page.goto("http://build.example/report.html")
    assert page.locator(".verdicts tbody tr").count() == 4
    assert "EANet's cost is linear" in page.locator("body").inner_text()
    assert page.locator("figure svg:visible").count() == len(page.locator("figure").all()) - hidden_figures(page)
    fills = page.locator("#figure-speed svg path").evaluate_all("all => all.map((path) => getComputedStyle(path).fill)")
    assert "none" in fills, "a line is no black area"
    page.context.close()


def hidden_figures(page):
    return page.locator("details:not([open]) figure").count()


def test_20000_rows_are_filtered_and_shown_a_hundred_at_a_time(visit, tmp_path):
    columns = ["trial_id", *(f"setting {n}" for n in range(16)), "step_seconds"]
    rows = [[f"trial-{n}", *(f"value {n % (place + 2)}" for place in range(16)), n / 7] for n in range(20_000)]
    text = build(write_run(tmp_path / "run"))[0].read_text(encoding="utf-8")
    data = json.dumps({"trainings": {"columns": columns, "rows": rows}, "step_times": {"columns": [], "rows": []}})
    start = text.index(">", text.index('<script type="application/json"')) + 1
    (tmp_path / "large.html").write_text(text[:start] + data + text[text.index("</script>", start) :])
    page = visit((tmp_path / "large.html").as_uri())
    page.locator("details.raw").first.locator("summary").click()
    search = tools(page, "records-trainings").locator("input[type=search]")
    for typed in ("t", "tr", "trial-7", "trial-77", "trial-777"):
        search.fill(typed)
    assert tools(page, "records-trainings").locator(".said").inner_text() == "11 of 20000 rows"
    assert page.locator("#records-trainings tbody tr").count() == 11
    search.fill("")
    assert page.locator("#records-trainings tbody tr").count() == 100
    page.get_by_role("button", name="Show 100 more rows").last.click()
    assert page.locator("#records-trainings tbody tr").count() == 200


def test_paper_is_white_also_for_who_reads_in_the_dark(visit, address):
    page = visit(address, scheme="dark")
    colors = "() => ['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
    assert page.evaluate(colors) == ["rgb(230, 233, 238)", "rgb(20, 24, 30)"]
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(colors) == ["rgb(28, 36, 48)", "rgb(255, 255, 255)"]


def test_names_from_records_stay_text_also_in_what_is_saved(visit, tmp_path):
    folder = write_run(tmp_path / "run", variants=(EVIL, "=2+3"))
    page = visit(build(folder)[0].as_uri())
    open_all(page)
    names = column(page, "table-accuracy", "variant")
    assert EVIL in names
    assert page.locator("img").count() == 0
    _, text = saved(page, "table-accuracy", "CSV")
    told = [row["variant"] for row in csv.DictReader(io.StringIO(text))]
    assert EVIL in told
    assert "'=2+3" in told, "a spreadsheet would compute it"
    assert visit.noise == Noise()


def test_what_changed_between_two_runs_is_shown_and_all_else_is_folded_away(visit, tmp_path, full_run):
    other = tmp_path / "other"
    shutil.copytree(full_run, other)
    changed = next((other / "records").glob("train-eanet-digits-seed0-*.json"))
    change_of(other, changed.name, parameters=107)
    page = visit(build_comparison(full_run, other)[0].as_uri())
    changed = column(page, "changes", "verdict")
    assert set(changed) == {"changed"}
    assert page.locator(".lead").inner_text().startswith(f"{len(changed)} of ")
    assert not page.locator("#unchanged").is_visible()
    page.locator("#same > summary").click()
    assert page.locator("#unchanged").is_visible()
    assert Axe().run(page).violations_count == 0
    assert visit.noise == Noise()


def test_a_gate_has_a_page_that_is_as_good(visit, tmp_path, monkeypatch):
    gates.write(tmp_path, samples.gate(0.2))
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path)])
    assert main() == 0
    page = visit((tmp_path / "report.html").as_uri(), PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert column(page, "cases", "verdict") == ["slower", "no slowdown shown"]
    assert visit.noise == Noise()


def test_a_history_has_a_page_that_is_as_good(visit, tmp_path, monkeypatch):
    for number in range(8):
        started, step = f"2026-01-{number + 1:02d}T03:04:05+00:00", 0.01 if number < 4 else 0.02
        gates.append(tmp_path / "history.jsonl", samples.gate(seed=number, started=started, step=step))
    monkeypatch.setattr("sys.argv", ["report", "--history", str(tmp_path / "history.jsonl")])
    assert main() == 0
    page = visit((tmp_path / "history.html").as_uri(), PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.locator("figure .save").count() == 2
    assert visit.noise == Noise()
