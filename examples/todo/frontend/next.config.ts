import type { NextConfig } from "next";

const config: NextConfig = {
  output: "standalone",
  // The lockfile beside this file is the root, whatever lies above it in a larger checkout.
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
  poweredByHeader: false,
  // Nothing here uses the image optimiser, which would want to write to .next/cache.
  images: { unoptimized: true },
};

export default config;
