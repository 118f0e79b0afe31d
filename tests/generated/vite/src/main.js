document.querySelector("#app").textContent = `hello ${new Date().getFullYear()}`;
