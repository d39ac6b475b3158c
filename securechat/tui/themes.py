"""Three themes. What they colour is said in words and signs too."""

from typing import Final

from textual.theme import Theme

DARK: Final = Theme(
    name="securechat-dark",
    primary="#7aa2f7",
    secondary="#9aa5ce",
    accent="#bb9af7",
    foreground="#d5d8e0",
    background="#16181d",
    surface="#1c1f26",
    panel="#2a2e38",
    success="#8fc77c",
    warning="#e0af68",
    error="#f7768e",
    dark=True,
)
LIGHT: Final = Theme(
    name="securechat-light",
    primary="#1f4fa8",
    secondary="#4a5068",
    accent="#6b2fa0",
    foreground="#1a1c22",
    background="#fbfbf9",
    surface="#f1f1ee",
    panel="#dcdcd6",
    success="#256b1d",
    warning="#8a5200",
    error="#b3132b",
    dark=False,
)
CONTRAST: Final = Theme(
    name="securechat-contrast",
    primary="#ffff00",
    secondary="#ffffff",
    accent="#00ffff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#ffffff",
    success="#00ff00",
    warning="#ffff00",
    error="#ff8080",
    dark=True,
)
THEMES: Final = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST}
