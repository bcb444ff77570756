"""The form that a page has for an answer, as a reader uses it."""

from __future__ import annotations

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks.browser import Browser


class AnswerForm:
    """The form of one exercise on the page that is open."""

    def __init__(self, browser: Browser, exercise: str) -> None:
        self.browser = browser
        self.exercise = exercise

    def find(self, selector: str) -> WebElement:
        return self.browser.driver.find_element(By.CSS_SELECTOR, f'[data-exercise="{self.exercise}"] {selector}')

    @property
    def box(self) -> WebElement:
        return self.find('input[type="text"]')

    def button(self, words: str) -> WebElement:
        buttons = self.browser.driver.find_elements(By.CSS_SELECTOR, f'[data-exercise="{self.exercise}"] button')
        [found] = [button for button in buttons if button.text == words]
        return found

    def type(self, text: str) -> None:
        """Put this text in the place of what stands there."""
        self.box.send_keys(Keys.CONTROL, "a")
        self.box.send_keys(Keys.DELETE)
        self.box.send_keys(text)

    def submit(self, text: str) -> None:
        self.type(text)
        self.box.send_keys(Keys.ENTER)

    @property
    def state(self) -> str | None:
        return self.find("form").get_attribute("data-state")

    @property
    def verdict(self) -> str:
        return self.find(".gl-verdict").text

    @property
    def progress(self) -> str:
        return self.find(".gl-progress").text

    def wait_for_state(self, state: str) -> None:
        self.wait(lambda: self.state == state)

    def wait(self, condition) -> None:
        WebDriverWait(self.browser.driver, 20).until(lambda _: condition())
