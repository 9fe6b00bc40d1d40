"""Builds of the plain C kernels, and what runs them."""

from __future__ import annotations

from dataclasses import replace

from flynet_tiny.codegen.build import ARMV6M, DEFAULT_BUILD, PLAIN, Build
from flynet_tiny.codegen.targets import Core

M3_BUILD: Build = replace(DEFAULT_BUILD, isa=PLAIN)
M0PLUS_BUILD: Build = replace(DEFAULT_BUILD, isa=ARMV6M)
BUILDS = {Core.CORTEX_M3: M3_BUILD, Core.CORTEX_M0PLUS: M0PLUS_BUILD}
