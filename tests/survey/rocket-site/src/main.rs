#[macro_use]
extern crate rocket;

#[get("/up")]
fn up() -> &'static str {
    "ok"
}

#[launch]
fn launch() -> _ {
    rocket::build().mount("/", routes![up])
}
