import streamlit as st
st.title('first try')
