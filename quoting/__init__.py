"""The doors through which a stranger's text reaches another language: one function a language.

Names of tensors, classes, files and folders come from files that nobody checked. Such a text is a `ForeignText`, which no
template of C or Make takes as it is (`code_finalize` raises), and which shows itself safely everywhere else.
"""

from .code import UnquotedText, c_comment, c_string, code_finalize, make_word
from .foreign import NO_TEXT, ForeignText
from .markup import markup_environment, markup_finalize
from .terminal import for_terminal
from .visible import shorten, visible

__all__ = [
    "NO_TEXT",
    "ForeignText",
    "UnquotedText",
    "c_comment",
    "c_string",
    "code_finalize",
    "for_terminal",
    "make_word",
    "markup_environment",
    "markup_finalize",
    "shorten",
    "visible",
]
