/** @type {import("next").NextConfig} */
const config = {
  // output: "standalone" comes later
  async rewrites() {
    return [{ source: "/api/:path*", destination: `${process.env.API_INTERNAL_URL}/:path*` }];
  },
};
export default config;
