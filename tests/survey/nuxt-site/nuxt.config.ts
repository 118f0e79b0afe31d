export default defineNuxtConfig({ runtimeConfig: { apiSecret: process.env.API_SECRET } })
